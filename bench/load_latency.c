/* Latency: round trips one at a time, and many ports that send at the pace of a real line. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    SAMPLES_MAX = 4000000, /* 16 MB; later ones are not recorded */
    TRIP_MAX = 2000,       /* ms until a message counts as lost */
    WARM_TRIPS = 20,       /* trips that are made and not recorded */
    EVENTS = 256,
    FLIGHT_MAX = 256,      /* chunks of one port on their way; a port with more is overrun */
    TICK = 200000,         /* ns: chunks that are due within it go out together, to save wake-ups */
    DRAIN = 1500,          /* ms for the last bytes to arrive */
};

static unsigned char buffer[CHUNK];
static uint32_t *samples; /* in units of 10 ns: up to 42 s */
static size_t sample_count;

static void record(uint64_t ns)
{
    if (sample_count < SAMPLES_MAX)
        samples[sample_count++] = ns / 10 > UINT32_MAX ? UINT32_MAX : ns / 10;
}

static void start_recording(void)
{
    if (!samples && !(samples = malloc(SAMPLES_MAX * sizeof *samples)))
        die("malloc");
    sample_count = 0;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* In microseconds; samples must be sorted. */
static double percentile(double part)
{
    return sample_count ? samples[(size_t)(part * (sample_count - 1))] / 100.0 : 0;
}

/* The device echoes what it gets until the peer has `size` bytes back; false: they were lost. */
static bool one_trip(struct port *port, int size, struct pollfd ends[2])
{
    uint64_t bound = now_ns() + TRIP_MAX * 1000000ull;
    int back = 0;
    ssize_t len;
    if (wire_write(&port->peers[0], "The quick brown fox jumps over the lazy dog 0123456789 times....."
              "The quick brown fox jumps over the lazy dog 0123456789 times....."
              "The quick brown fox jumps over the lazy dog 0123456789 times....."
              "The quick brown fox jumps over the lazy dog 0123456789 times.....", size) != size)
        die("peer");
    while (back < size) {
        if (poll(ends, 2, TRIP_MAX) <= 0 || now_ns() > bound)
            return false;
        if (ends[0].revents && (len = read(port->master, buffer, CHUNK)) > 0
            && write(port->master, buffer, len) != len)
            die("master");
        if (ends[1].revents && (len = peer_read(&port->peers[0], buffer)) > 0)
            back += len;
    }
    return true;
}

/* Answer: "count" of recorded messages, "p50" and "p99" of their round trip in microseconds, "lost"
 * messages, and how many were "made", those to warm up too (what CPU time is to be divided by). */
void trip(int size, double seconds)
{
    struct port *port = &ports[0];
    struct pollfd ends[2] = {{.fd = port->master, .events = POLLIN},
                             {.fd = port->peers[0].fd, .events = POLLIN}};
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9), start;
    int lost = 0, made = 0;
    start_recording();
    if (size < 1 || size > 256)
        size = 256;
    for (; (start = now_ns()) < end && !lost; made++) {
        if (!one_trip(port, size, ends))
            lost++;
        else if (made >= WARM_TRIPS)
            record(now_ns() - start);
    }
    qsort(samples, sample_count, sizeof *samples, compare);
    printf("{\"count\": %zu, \"p50\": %.1f, \"p99\": %.1f, \"lost\": %d, \"made\": %d}\n", sample_count,
           percentile(0.5), percentile(0.99), lost, made);
}

struct flight { /* one chunk on its way */
    uint64_t sent_at, last_byte;
};

struct feed { /* one port that is fed at the pace of its line */
    uint64_t due;
    uint64_t offered, accepted; /* bytes that the line carried, and that the pty took */
    unsigned head, tail;
    struct flight flights[FLIGHT_MAX];
};

static struct feed *feeds;
static int *heap; /* ports by the time at which their next chunk is due, the earliest first */

static void sink(int at)
{
    for (;;) {
        int child = 2 * at + 1, moved = heap[at];
        if (child >= port_count)
            return;
        if (child + 1 < port_count && feeds[heap[child + 1]].due < feeds[heap[child]].due)
            child++;
        if (feeds[heap[child]].due >= feeds[moved].due)
            return;
        heap[at] = heap[child];
        heap[child] = moved;
        at = child;
    }
}

static void send_chunk(struct port *port, struct feed *feed, int baudrate)
{
    size_t size = 16 + draw() % 241;
    ssize_t len = 0;
    if (feed->tail - feed->head < FLIGHT_MAX)
        len = write(port->master, buffer, size); /* what does not fit is lost, as on a real line */
    if (len < 0 && errno != EAGAIN)
        die("master");
    feed->offered += size;
    feed->due += size * 10ull * 1000000000ull / baudrate; /* 8N1: ten bits a byte */
    if (len <= 0)
        return;
    feed->accepted += len;
    feed->flights[feed->tail++ % FLIGHT_MAX] = (struct flight){now_ns(), feed->accepted};
}

static void take(struct peer *peer, struct feed *feed)
{
    static unsigned char taken[CHUNK];
    ssize_t len = peer_read(peer, taken);
    uint64_t now = now_ns();
    if (len <= 0)
        return;
    peer->received += len;
    for (; feed->head != feed->tail; feed->head++) {
        struct flight *flight = &feed->flights[feed->head % FLIGHT_MAX];
        if (flight->last_byte > peer->received)
            return;
        record(now - flight->sent_at);
    }
}

static void start_feeds(int epoll_fd, int timer, int baudrate)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = PORTS_MAX};
    feeds = calloc(port_count, sizeof *feeds);
    heap = calloc(port_count, sizeof *heap);
    if (!feeds || !heap || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer, &event) < 0)
        die("busy");
    memset(buffer, 'U', sizeof buffer);
    for (int i = 0; i < port_count; i++) {
        /* spread over the time of the longest chunk, in order: so the heap is a heap already */
        feeds[i].due = now_ns() + 2560000000000ull / baudrate * i / port_count;
        heap[i] = i;
        event.data.u32 = i;
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, ports[i].peers[0].fd, &event) < 0)
            die("epoll_ctl");
    }
}

static void arm(int timer, uint64_t at)
{
    struct itimerspec when = {.it_value = {at / 1000000000, at % 1000000000}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void receive(int epoll_fd)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(epoll_fd, events, EVENTS, DRAIN);
    for (int i = 0; i < count; i++) {
        unsigned index = events[i].data.u32;
        if (index < PORTS_MAX)
            take(&ports[index].peers[0], &feeds[index]);
    }
}

/*
 * Answer: "p50" and "p99" of the way from device to network in microseconds, "offered" bytes and
 * the "delivered" part of them (what the pty did not take counts as lost), "seconds" of the run.
 */
void busy(double seconds, int baudrate)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    uint64_t start = now_ns(), end = start + (uint64_t)(seconds * 1e9), now, offered = 0, received = 0;
    start_recording();
    start_feeds(epoll_fd, timer, baudrate);
    while ((now = now_ns()) < end) {
        for (; feeds[heap[0]].due <= now; sink(0))
            send_chunk(&ports[heap[0]], &feeds[heap[0]], baudrate);
        arm(timer, feeds[heap[0]].due > now + TICK ? feeds[heap[0]].due : now + TICK);
        receive(epoll_fd);
    }
    arm(timer, now + DRAIN * 1000000ull);
    for (uint64_t bound = now + DRAIN * 1000000ull; now_ns() < bound;) {
        offered = received = 0;
        for (int i = 0; i < port_count; i++) {
            offered += feeds[i].offered;
            received += ports[i].peers[0].received;
        }
        if (received >= offered)
            break;
        receive(epoll_fd);
    }
    qsort(samples, sample_count, sizeof *samples, compare);
    printf("{\"p50\": %.1f, \"p99\": %.1f, \"offered\": %llu, \"delivered\": %.6f, \"seconds\": %.3f}\n",
           percentile(0.5), percentile(0.99), (unsigned long long)offered,
           offered ? (double)received / offered : 0, (now - start) / 1e9);
    close(timer);
    close(epoll_fd);
    free(feeds);
    free(heap);
}
