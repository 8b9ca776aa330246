/*
 * How a peer reads and writes: its descriptor, or TLS over that.
 *
 * The second is there where this is compiled with -DBENCH_TLS.  The certificate is not looked at:
 * what is measured is the stream.
 */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef BENCH_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>

enum { RECORD = 16384 }; /* bytes of a record at most; a shorter buffer would leave a part in OpenSSL */

static SSL_CTX *context;

static ssize_t outcome(SSL *tls, int result)
{
    switch (SSL_get_error(tls, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        ERR_print_errors_fp(stderr);
        errno = EPROTO;
        return -1;
    }
}

void wire_begin(struct peer *peer)
{
    if (!context && !(context = SSL_CTX_new(TLS_client_method())))
        die("SSL_CTX_new");
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    peer->tls = SSL_new(context);
    if (!peer->tls || !SSL_set_fd(peer->tls, peer->fd) || SSL_connect(peer->tls) != 1) {
        ERR_print_errors_fp(stderr);
        die("SSL_connect");
    }
}

ssize_t wire_read(struct peer *peer, unsigned char *data, size_t size)
{
    size_t got = 0;
    if (!peer->tls)
        return read(peer->fd, data, size);
    while (size - got >= RECORD) {
        int len = SSL_read(peer->tls, data + got, RECORD);
        if (len <= 0)
            return got ? (ssize_t)got : outcome(peer->tls, len);
        got += len;
    }
    return got;
}

ssize_t wire_write(struct peer *peer, const void *data, size_t size)
{
    size_t sent = 0;
    if (!peer->tls)
        return write(peer->fd, data, size);
    while (sent < size) {
        int len = SSL_write(peer->tls, (const char *)data + sent, size - sent);
        if (len <= 0)
            return sent ? (ssize_t)sent : outcome(peer->tls, len);
        sent += len;
    }
    return sent;
}

#else

void wire_begin(struct peer *peer)
{
    (void)peer;
    fprintf(stderr, "load: --tls needs the program load-tls\n");
    exit(2);
}

ssize_t wire_read(struct peer *peer, unsigned char *data, size_t size)
{
    return read(peer->fd, data, size);
}

ssize_t wire_write(struct peer *peer, const void *data, size_t size)
{
    return write(peer->fd, data, size);
}

#endif
