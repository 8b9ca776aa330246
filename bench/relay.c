/*
 * relay: the smallest possible bridge between ttys and TCP, the practical limit of this work.
 *
 *     relay [--telnet] TTY=PORT [TTY=PORT ...]
 *
 * One epoll set, read and write; no settings, no policies, no options.  What a tty gives goes to
 * every peer of its port; what a peer gives goes to the tty.  A writer that would block stops the
 * reader that feeds it, nothing more: a peer that does not read stops its tty for all.
 * --telnet doubles 0xFF towards the peers and takes telnet commands out of what they send, byte by
 * byte, as a textbook does it; it answers nothing.
 *
 * Every size is bounded: CHUNK bytes are held per direction at most (twice that when escaped).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

enum { CHUNK = 65536, PEERS_MAX = 64, EVENTS = 256, IAC = 255, SB = 250, SE = 240, WILL = 251 };

enum kind { LISTENER, TTY, PEER };

struct line;

struct end { /* one file descriptor in the epoll set */
    enum kind kind;
    int fd;
    unsigned armed;           /* the epoll events that are asked for now */
    struct line *line;
    unsigned char *rest;      /* what this end has not taken yet (a peer: into out; a tty: its own) */
    size_t rest_len;
    int state;                /* of the telnet decoder, of a peer */
    struct end *next_dead;
};

struct line {
    struct end listener, tty;
    struct end *peers[PEERS_MAX];
    int peer_count, blocked;  /* blocked: peers with a rest; the tty is not read while there is one */
    unsigned char *out, *in;  /* towards the peers, towards the tty; allocated with the first rest */
};

static int epoll_fd;
static struct end *dead; /* freed after the round: an event in it may still point here */
static bool telnet;
static unsigned char scratch[CHUNK], escaped[2 * CHUNK];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void arm(struct end *end, unsigned events)
{
    struct epoll_event event = {.events = events, .data.ptr = end};
    if (end->armed == events)
        return;
    end->armed = events;
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, end->fd, &event) < 0)
        die("epoll_ctl");
}

static void add(struct end *end, enum kind kind, int fd, struct line *line)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = end};
    *end = (struct end){.kind = kind, .fd = fd, .armed = EPOLLIN, .line = line};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll_ctl");
}

static void rearm(struct line *line)
{
    arm(&line->tty, (line->blocked ? 0 : EPOLLIN) | (line->tty.rest_len ? EPOLLOUT : 0));
    for (int i = 0; i < line->peer_count; i++) {
        struct end *peer = line->peers[i];
        arm(peer, (line->tty.rest_len ? 0 : EPOLLIN) | (peer->rest_len ? EPOLLOUT : 0));
    }
}

static void drop(struct end *peer)
{
    struct line *line = peer->line;
    for (int i = 0; i < line->peer_count; i++)
        if (line->peers[i] == peer)
            line->peers[i] = line->peers[--line->peer_count];
    line->blocked -= peer->rest_len > 0;
    close(peer->fd);
    peer->fd = -1;
    peer->next_dead = dead;
    dead = peer;
    rearm(line);
}

static void bury(void)
{
    while (dead) {
        struct end *next = dead->next_dead;
        free(dead);
        dead = next;
    }
}

static ssize_t put(int fd, const unsigned char *data, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = write(fd, data + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? (ssize_t)done : -1;
        done += n;
    }
    return done;
}

static size_t escape(const unsigned char *data, size_t len)
{
    size_t out = 0;
    for (size_t i = 0; i < len; i++) {
        escaped[out++] = data[i];
        if (data[i] == IAC)
            escaped[out++] = IAC;
    }
    return out;
}

static size_t unescape(unsigned char *data, size_t len, int *state)
{
    /* states: 0 data, 1 after IAC, 2 after an option verb, 3 in a suboption, 4 IAC in it */
    size_t out = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = data[i];
        switch (*state) {
        case 0:
            if (byte == IAC)
                *state = 1;
            else
                data[out++] = byte;
            break;
        case 1:
            if (byte == IAC)
                data[out++] = byte;
            *state = byte >= WILL && byte < IAC ? 2 : byte == SB ? 3 : 0;
            break;
        case 2: *state = 0; break;
        case 3: *state = byte == IAC ? 4 : 3; break;
        default: *state = byte == SE ? 0 : 3; break;
        }
    }
    return out;
}

static void from_tty(struct line *line)
{
    ssize_t len = read(line->tty.fd, scratch, CHUNK);
    const unsigned char *data = scratch;
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len <= 0)
        die("tty"); /* the device is gone, and with it the purpose */
    if (telnet) {
        len = escape(scratch, len);
        data = escaped;
    }
    for (int i = line->peer_count - 1; i >= 0; i--) {
        struct end *peer = line->peers[i];
        ssize_t done = put(peer->fd, data, len);
        if (done < 0) {
            drop(peer);
        } else if (done < len) {
            if (!line->out && !(line->out = malloc(2 * CHUNK)))
                die("malloc");
            if (!line->blocked)
                memcpy(line->out, data, len);
            peer->rest = line->out + done;
            peer->rest_len = len - done;
            line->blocked++;
        }
    }
    if (line->blocked)
        rearm(line);
}

static void from_peer(struct end *peer)
{
    struct line *line = peer->line;
    ssize_t len = read(peer->fd, scratch, CHUNK), done;
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len <= 0) {
        drop(peer);
        return;
    }
    if (telnet)
        len = unescape(scratch, len, &peer->state);
    if ((done = put(line->tty.fd, scratch, len)) < 0)
        die("tty");
    if (done < len) {
        if (!line->in && !(line->in = malloc(CHUNK)))
            die("malloc");
        line->tty.rest = line->in;
        line->tty.rest_len = len - done;
        memcpy(line->in, scratch + done, len - done);
        rearm(line);
    }
}

/* Take more of the rest. */
static void flush(struct end *end)
{
    ssize_t done = put(end->fd, end->rest, end->rest_len);
    if (done < 0) {
        if (end->kind == TTY)
            die("tty");
        drop(end);
        return;
    }
    end->rest += done;
    end->rest_len -= done;
    if (!end->rest_len) {
        if (end->kind == PEER)
            end->line->blocked--;
        rearm(end->line);
    }
}

static void from_listener(struct line *line)
{
    int fd = accept4(line->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
    struct end *peer;
    if (fd < 0)
        return;
    if (line->peer_count == PEERS_MAX || !(peer = malloc(sizeof *peer))) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    add(peer, PEER, fd, line);
    line->peers[line->peer_count++] = peer;
    rearm(line);
}

static void handle(struct end *end, unsigned events)
{
    struct line *line = end->line;
    if (end->kind == LISTENER) {
        from_listener(line);
        return;
    }
    if (events & EPOLLOUT && end->rest_len)
        flush(end);
    if (end->fd < 0 || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    /* The round may have filled the other side after this event was fetched: look again. */
    if (end->kind == TTY && !line->blocked)
        from_tty(line);
    else if (end->kind == PEER && !line->tty.rest_len)
        from_peer(end);
    else if (end->kind == PEER && events & (EPOLLHUP | EPOLLERR))
        drop(end); /* cannot be masked: it would be reported for ever */
}

static void open_line(char *spec)
{
    struct line *line = calloc(1, sizeof *line);
    char *equals = strrchr(spec, '=');
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct termios settings;
    int tty, listener, on = 1;
    if (!line || !equals) {
        fprintf(stderr, "usage: relay [--telnet] TTY=PORT ...\n");
        exit(2);
    }
    *equals = 0;
    if ((tty = open(spec, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)) < 0)
        die(spec);
    tcgetattr(tty, &settings);
    cfmakeraw(&settings);
    tcsetattr(tty, TCSANOW, &settings); /* TCSAFLUSH would drop bytes */
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    address.sin_port = htons(atoi(equals + 1));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 128) < 0)
        die("listen");
    add(&line->tty, TTY, tty, line);
    add(&line->listener, LISTENER, listener, line);
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--telnet"))
            telnet = true;
        else
            open_line(argv[i]);
    }
    for (;;) {
        int count = epoll_wait(epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct end *end = events[i].data.ptr;
            if (end->fd >= 0)
                handle(end, events[i].events);
        }
        bury();
    }
}
