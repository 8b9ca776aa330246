/* Throughput: send as fast as the bridge takes it, in one or both directions. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* WARM_UP comes before the measured time; DRAIN_MAX bounds the wait for the last bytes, of which
 * the kernel's buffers may hold megabytes before a slow port, and DRAIN_QUIET without one ends it;
 * WAIT_MAX guards against a wake-up that a tty does not give. */
enum { WARM_UP = 150, DRAIN_MAX = 30000, DRAIN_QUIET = 400, WAIT_MAX = 5 }; /* ms */

struct run {
    const struct pattern *pattern;
    struct port *port;
    bool to_network, to_device; /* what is still sent */
    uint64_t sent_by_device, raw_sent_by_peer;
};

static unsigned char buffer[CHUNK];

/* What to multiply bounds by: the lab's machine is emulated, and USB/IP pauses for longer there. */
static uint64_t slowness(void)
{
    return getenv("PORTLINE_LAB") ? 8 : 1;
}

static bool differs(const struct run *run, uint64_t at, const unsigned char *data, size_t len)
{
    return memcmp(run->pattern->plain + at % PERIOD, data, len) != 0;
}

static void device_sends(struct run *run)
{
    const unsigned char *data = run->pattern->plain + run->sent_by_device % PERIOD;
    ssize_t len = write(run->port->master, data, CHUNK);
    if (len > 0)
        run->sent_by_device += len;
    else if (len < 0 && errno != EAGAIN)
        die("master");
}

static void device_receives(struct run *run)
{
    ssize_t len = read(run->port->master, buffer, CHUNK);
    if (len <= 0)
        return;
    run->port->broken |= differs(run, run->port->received, buffer, len);
    run->port->received += len;
}

static void peer_sends(struct run *run, size_t most)
{
    size_t at = run->raw_sent_by_peer % run->pattern->escaped_period;
    ssize_t len = wire_write(&run->port->peers[0], run->pattern->escaped + at, most);
    if (len > 0)
        run->raw_sent_by_peer += len;
    else if (len < 0 && errno != EAGAIN)
        die("peer");
}

static void peer_receives(struct run *run, struct peer *peer)
{
    ssize_t len = peer_read(peer, buffer);
    if (len <= 0)
        return;
    peer->broken |= differs(run, peer->received, buffer, len);
    peer->received += len;
}

/* The peer's last byte must not be the first half of a doubled 0xFF. */
static bool half_sent(const struct run *run)
{
    size_t at = run->raw_sent_by_peer % run->pattern->escaped_period;
    return at && run->pattern->plain_before[at] == run->pattern->plain_before[at - 1];
}

static uint64_t sent_by_peer(const struct run *run)
{
    const struct pattern *pattern = run->pattern;
    return run->raw_sent_by_peer / pattern->escaped_period * PERIOD
           + pattern->plain_before[run->raw_sent_by_peer % pattern->escaped_period];
}

static uint64_t received_by_peers(const struct port *port)
{
    uint64_t total = 0;
    for (int i = 0; i < port->peer_count; i++)
        total += port->peers[i].stalled ? 0 : port->peers[i].received;
    return total;
}

static void watch(int epoll_fd, int fd, int op, unsigned events, int index)
{
    struct epoll_event event = {.events = events, .data.u32 = index};
    if (epoll_ctl(epoll_fd, op, fd, &event) < 0)
        die("epoll_ctl");
}

/* Index 0 is the device, 1 + i the peer i. */
static void watch_all(const struct run *run, int epoll_fd, int op)
{
    watch(epoll_fd, run->port->master, op, EPOLLIN | (run->to_network ? EPOLLOUT : 0), 0);
    for (int i = 0; i < run->port->peer_count; i++)
        if (!run->port->peers[i].stalled)
            watch(epoll_fd, run->port->peers[i].fd, op,
                  EPOLLIN | (run->to_device && i == 0 ? EPOLLOUT : 0), 1 + i);
}

static void turn(struct run *run, int epoll_fd)
{
    struct epoll_event events[PEERS_MAX + 1];
    int count = epoll_wait(epoll_fd, events, PEERS_MAX + 1, WAIT_MAX);
    for (int i = 0; i < count; i++) {
        int index = events[i].data.u32;
        bool in = events[i].events & ~EPOLLOUT, out = events[i].events & EPOLLOUT;
        if (index == 0) {
            if (in)
                device_receives(run);
            if (out && run->to_network)
                device_sends(run);
        } else {
            if (in)
                peer_receives(run, &run->port->peers[index - 1]);
            if (out && run->to_device)
                peer_sends(run, CHUNK);
        }
    }
}

/* After the sending has ended: until all has come, or nothing comes any more. */
static void drain(struct run *run, int epoll_fd, uint64_t to_peers, uint64_t to_device)
{
    uint64_t start = now_ns(), last = start, seen = 0;
    struct port *port = run->port;
    while (received_by_peers(port) < to_peers || port->received < to_device) {
        uint64_t total = received_by_peers(port) + port->received, now = now_ns();
        if (total != seen)
            last = now;
        seen = total;
        if (now - last > slowness() * DRAIN_QUIET * 1000000ull || now - start > slowness() * DRAIN_MAX * 1000000ull)
            return;
        turn(run, epoll_fd);
    }
}

static bool intact(const struct port *port)
{
    bool broken = port->broken;
    for (int i = 0; i < port->peer_count; i++)
        broken |= port->peers[i].broken;
    return !broken;
}

/*
 * Answer: "dn" and "nd" are bytes a second in the measured time, dn summed over the peers that
 * read; "bytes" is all that was delivered, with warm-up and drain (what CPU time is to be divided
 * by); "lost" what was sent and did not arrive; "intact" whether every byte was the right one.
 */
void transfer(const char *direction, double seconds, const char *pattern)
{
    struct run run = {.pattern = pattern_of(pattern), .port = &ports[0],
                      .to_network = strcmp(direction, "nd"), .to_device = strcmp(direction, "dn")};
    struct port *port = run.port;
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC), readers = 0;
    uint64_t start, end, now, dn, nd, to_peers, to_device;

    for (int i = 0; i < port->peer_count; i++)
        readers += !port->peers[i].stalled;
    watch_all(&run, epoll_fd, EPOLL_CTL_ADD);
    start = now_ns() + WARM_UP * 1000000ull;
    while ((now = now_ns()) < start)
        turn(&run, epoll_fd);
    start = now;
    dn = received_by_peers(port);
    nd = port->received;
    end = start + (uint64_t)(seconds * 1e9);
    while ((now = now_ns()) < end)
        turn(&run, epoll_fd);
    dn = received_by_peers(port) - dn;
    nd = port->received - nd;

    run.to_network = run.to_device = false;
    watch_all(&run, epoll_fd, EPOLL_CTL_MOD);
    for (end = now_ns() + 1000000000ull; half_sent(&run) && now_ns() < end;) {
        peer_sends(&run, 1);
        turn(&run, epoll_fd);
    }
    to_peers = run.sent_by_device * readers;
    to_device = sent_by_peer(&run);
    drain(&run, epoll_fd, to_peers, to_device);
    close(epoll_fd);
    printf("{\"dn\": %.0f, \"nd\": %.0f, \"bytes\": %llu, \"lost\": %lld, \"intact\": %s}\n",
           dn * 1e9 / (now - start), nd * 1e9 / (now - start),
           (unsigned long long)(received_by_peers(port) + port->received),
           (long long)(to_peers + to_device - received_by_peers(port) - port->received),
           intact(port) ? "true" : "false");
}
