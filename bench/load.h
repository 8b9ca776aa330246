/*
 * What the parts of the load generator share.
 *
 * A *port* is a pty whose master the generator holds: the master plays the device, the bridge opens
 * the slave.  A *peer* is the far end of the bridge: a TCP connection, or another tty.  One thread
 * and one epoll set play all of them, so that the generator leaves a core to the bridge.
 */
#ifndef PORTLINE_BENCH_LOAD_H
#define PORTLINE_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    CHUNK = 65536,     /* bytes of one read or write at most */
    PERIOD = 65521,    /* bytes after which the test data repeats; prime, so that no chunk size fits */
    PORTS_MAX = 2048,
    PEERS_MAX = 64,    /* peers of one port */
};

struct peer {
    int fd;
    void *tls;         /* an SSL, where it is encrypted (load_wire.c) */
    int state;         /* of the telnet decoder */
    uint64_t received; /* data bytes, telnet taken off */
    bool broken;       /* the received data differ from what was sent */
    bool stalled;      /* connected, and never read */
};

struct port {
    int master, slave; /* the slave stays open: no hang-up, and the settings persist */
    uint64_t received; /* by the device */
    bool broken;
    int peer_count;
    struct peer peers[PEERS_MAX];
};

/* Test data: PERIOD bytes again and again, long enough to start anywhere in the period. */
struct pattern {
    unsigned char plain[PERIOD + CHUNK];
    unsigned char *escaped;  /* the period with 0xFF doubled, again CHUNK longer than its period */
    size_t escaped_period;
    uint32_t *plain_before;  /* [i]: whole plain bytes in the first i escaped bytes */
};

extern struct port *ports;
extern int port_count;
extern bool telnet, encrypted;

uint64_t now_ns(void);
void die(const char *what);
uint64_t draw(void);                               /* random, the same in every run */
const struct pattern *pattern_of(const char *name); /* "random" or "ff" */
void nonblocking_read_all(void);                   /* take what is there at every end, and forget it */
void wire_begin(struct peer *peer);                /* shake hands; waits */
ssize_t wire_read(struct peer *peer, unsigned char *data, size_t size);
ssize_t wire_write(struct peer *peer, const void *data, size_t size);
ssize_t peer_read(struct peer *peer, unsigned char *buffer); /* data bytes; -1: nothing now */

/* Each prints one line of JSON. */
void transfer(const char *direction, double seconds, const char *pattern);
void trip(int size, double seconds);
void busy(double seconds, int baudrate);

#endif
