/*
 * load: the load generator of the benchmark.
 *
 *     load [--telnet] [--tls] [--ports N]
 *
 * Prints "pty PATH" for each port, then obeys one command a line on stdin and answers each with one
 * line of JSON:
 *
 *     connect PEERS ENDPOINT ...         one endpoint a port: a TCP port on 127.0.0.1, or a tty's path
 *     stall                              the first peer of the first port is never read again
 *     transfer dn|nd|both SECONDS random|ff    device to network, network to device
 *     trip SIZE SECONDS                  the device echoes; one message at a time
 *     busy SECONDS BAUDRATE              every device sends at this pace
 *
 * It ends at the end of stdin.  --telnet: what peers send is escaped, what they receive decoded.
 * --tls: they speak TLS 1.3 (the program load-tls).
 */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { IAC = 255, DONT = 254, DO = 253, WILL = 251, SB = 250, SE = 240 };

/* Bounds of the set-up, in milliseconds: after SYNC_PULSE another byte is sent to find out whether
 * the way is open, after SYNC_MAX it is given up, QUIET without a byte is silence.  PACE is between
 * two peers of one port: a short accept queue that overflows costs seconds of retransmission.
 * UNLOCK_MAX is for a program (gensiot) that names a pty before it unlocks it. */
enum { SYNC_PULSE = 50, SYNC_MAX = 20000, QUIET = 60, PACE = 4, UNLOCK_MAX = 1000 };

struct port *ports;
int port_count = 1;
bool telnet, encrypted;
static unsigned char scratch[CHUNK];

void die(const char *what)
{
    perror(what);
    exit(1);
}

uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + now.tv_nsec;
}

uint64_t draw(void)
{
    static uint64_t state = 0x9E3779B97F4A7C15u; /* xorshift64 */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

const struct pattern *pattern_of(const char *name)
{
    static struct pattern pattern;
    bool all_ff = !strcmp(name, "ff");
    size_t out = 0;
    for (size_t i = 0; i < sizeof pattern.plain; i++)
        pattern.plain[i] = i >= PERIOD ? pattern.plain[i - PERIOD] : all_ff ? IAC : draw() >> 32;
    if (!pattern.escaped) {
        pattern.escaped = malloc(2 * PERIOD + CHUNK);
        pattern.plain_before = malloc((2 * PERIOD + 1) * sizeof *pattern.plain_before);
        if (!pattern.escaped || !pattern.plain_before)
            die("malloc");
    }
    for (size_t i = 0; i < PERIOD; i++) {
        pattern.plain_before[out] = i;
        pattern.escaped[out++] = pattern.plain[i];
        if (telnet && pattern.plain[i] == IAC) {
            pattern.plain_before[out] = i;
            pattern.escaped[out++] = IAC;
        }
    }
    pattern.plain_before[out] = PERIOD;
    pattern.escaped_period = out;
    for (size_t i = 0; i < CHUNK; i++)
        pattern.escaped[out + i] = pattern.escaped[i];
    return &pattern;
}

/* States: 0 data, 1 after IAC, 2 after an option verb, 3 in a suboption, 4 after an IAC in it. */
static size_t decode(unsigned char *data, size_t len, int *state)
{
    size_t out = 0, i = 0;
    while (i < len) {
        if (*state == 0) {
            unsigned char *iac = memchr(data + i, IAC, len - i);
            size_t clean = (iac ? (size_t)(iac - data) : len) - i;
            memmove(data + out, data + i, clean);
            out += clean;
            i += clean + 1;
            *state = iac != NULL;
            for (; *state == 1 && i < len && data[i] == IAC; i++) { /* pairs in a row */
                data[out++] = IAC;
                *state = i + 1 < len && data[i + 1] == IAC;
                i += *state;
            }
            continue;
        }
        unsigned char byte = data[i++];
        if (*state == 1) {
            if (byte == IAC)
                data[out++] = IAC;
            *state = byte >= WILL && byte < IAC ? 2 : byte == SB ? 3 : 0;
        } else if (*state == 2) {
            *state = 0;
        } else {
            *state = *state == 3 ? (byte == IAC ? 4 : 3) : byte == SE ? 0 : 3;
        }
    }
    return out;
}

ssize_t peer_read(struct peer *peer, unsigned char *buffer)
{
    ssize_t len = wire_read(peer, buffer, CHUNK);
    if (len == 0) {
        fprintf(stderr, "load: the bridge closed a connection\n");
        exit(3);
    }
    if (len < 0) {
        if (errno == EAGAIN || errno == EINTR)
            return -1;
        die("a peer");
    }
    return telnet ? (ssize_t)decode(buffer, len, &peer->state) : len;
}

static void raw_mode(int fd)
{
    struct termios settings;
    if (tcgetattr(fd, &settings) < 0)
        die("tcgetattr");
    cfmakeraw(&settings);
    settings.c_cflag |= CLOCAL | CREAD;
    cfsetspeed(&settings, B115200);
    if (tcsetattr(fd, TCSANOW, &settings) < 0) /* TCSAFLUSH would drop bytes */
        die("tcsetattr");
}

static void open_ports(void)
{
    if (!(ports = calloc(port_count, sizeof *ports)))
        die("calloc");
    for (int i = 0; i < port_count; i++) {
        int unlock = 0;
        struct port *port = &ports[i];
        char path[64];
        port->master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
        if (port->master < 0 || ioctl(port->master, TIOCSPTLCK, &unlock) < 0)
            die("/dev/ptmx");
        if (ptsname_r(port->master, path, sizeof path))
            die("ptsname");
        if ((port->slave = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)) < 0)
            die(path);
        raw_mode(port->slave);
        printf("pty %s\n", path);
    }
    fflush(stdout);
}

static int open_peer(const char *endpoint)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd, on = 1;
    if (*endpoint == '/') {
        uint64_t bound = now_ns() + UNLOCK_MAX * 1000000ull;
        while ((fd = open(endpoint, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)) < 0)
            if (errno != EIO || now_ns() > bound)
                die(endpoint);
        raw_mode(fd);
        return fd;
    }
    address.sin_port = htons(atoi(endpoint));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (telnet) { /* transparent both ways, RFC 856; suppress go ahead, RFC 858; RFC 2217 */
        static const unsigned char offer[] = {IAC, WILL, 0,  IAC, DO, 0,    IAC, WILL,
                                              3,   IAC,  DO, 3,   IAC, WILL, 44};
        if (write(fd, offer, sizeof offer) != sizeof offer)
            die("write");
    }
    return fd;
}

void nonblocking_read_all(void)
{
    for (int i = 0; i < port_count; i++) {
        while (read(ports[i].master, scratch, CHUNK) > 0)
            ports[i].received++;
        for (int j = 0; j < ports[i].peer_count; j++) {
            struct peer *peer = &ports[i].peers[j];
            ssize_t len;
            while (!peer->stalled && (len = peer_read(peer, scratch)) >= 0)
                peer->received += len;
        }
    }
}

/* Forget what was counted so far, after a silence. */
static void settle(void)
{
    uint64_t seen = UINT64_MAX, total = 0, bound = now_ns() + SYNC_MAX * 1000000ull;
    while (total != seen && now_ns() < bound) {
        seen = total;
        poll(NULL, 0, QUIET);
        nonblocking_read_all();
        total = 0;
        for (int i = 0; i < port_count; i++) {
            total += ports[i].received;
            for (int j = 0; j < ports[i].peer_count; j++)
                total += ports[i].peers[j].received;
        }
    }
    for (int i = 0; i < port_count; i++) {
        ports[i].received = ports[i].broken = 0;
        for (int j = 0; j < ports[i].peer_count; j++)
            ports[i].peers[j].received = ports[i].peers[j].broken = 0;
    }
}

/*
 * Wait until bytes get through every connection in both directions: a bridge may open its tty, and
 * negotiate, long after the connection stands.  Devices and first peers send a byte again and again
 * until it arrives.  Returns how many ways are still closed.
 */
static int synchronize(void)
{
    uint64_t bound = now_ns() + SYNC_MAX * 1000000ull, pulse = 0;
    int closed = 1;
    while (closed && now_ns() < bound) {
        bool beat = now_ns() >= pulse;
        if (beat)
            pulse = now_ns() + SYNC_PULSE * 1000000ull;
        closed = 0;
        nonblocking_read_all();
        for (int i = 0; i < port_count; i++) {
            int deaf = 0;
            for (int j = 0; j < ports[i].peer_count; j++)
                deaf += !ports[i].peers[j].received;
            if (deaf && beat && write(ports[i].master, "U", 1) < 0 && errno != EAGAIN)
                die("master");
            if (!ports[i].received && beat && wire_write(&ports[i].peers[0], "U", 1) < 0 && errno != EAGAIN)
                die("peer");
            closed += deaf + !ports[i].received;
        }
        if (closed)
            poll(NULL, 0, 2);
    }
    settle();
    return closed;
}

static void connect_all(int peers)
{
    int closed;
    for (int i = 0; i < port_count; i++) {
        char *endpoint = strtok(NULL, " \n");
        if (!endpoint)
            endpoint = "0";
        for (int j = 0; j < peers; j++) {
            if (j)
                poll(NULL, 0, PACE);
            ports[i].peers[j] = (struct peer){.fd = open_peer(endpoint)};
            if (encrypted)
                wire_begin(&ports[i].peers[j]);
            fcntl(ports[i].peers[j].fd, F_SETFL, O_NONBLOCK);
        }
        ports[i].peer_count = peers;
    }
    closed = synchronize();
    printf("{\"closed_ways\": %d}\n", closed);
}

static void stall(void)
{
    int small = 65536; /* of the kernel's buffer, so that the bridge feels it soon */
    ports[0].peers[0].stalled = true;
    setsockopt(ports[0].peers[0].fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    printf("{}\n");
}

static void obey(char *line)
{
    char *verb = strtok(line, " \n"), *first, *second, *third;
    if (verb && !strcmp(verb, "connect")) {
        int peers = (first = strtok(NULL, " \n")) ? atoi(first) : 0;
        connect_all(peers < 1 ? 1 : peers > PEERS_MAX ? PEERS_MAX : peers);
        fflush(stdout);
        return;
    }
    first = strtok(NULL, " \n");
    second = first ? strtok(NULL, " \n") : NULL;
    third = second ? strtok(NULL, " \n") : NULL;
    if (verb && !strcmp(verb, "stall"))
        stall();
    else if (verb && !strcmp(verb, "transfer") && third)
        transfer(first, atof(second), third);
    else if (verb && !strcmp(verb, "trip") && second)
        trip(atoi(first), atof(second));
    else if (verb && !strcmp(verb, "busy") && second)
        busy(atof(first), atoi(second));
    else
        printf("{\"error\": \"what?\"}\n");
    settle();
    fflush(stdout);
}

int main(int argc, char **argv)
{
    char *line = NULL;
    size_t size = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--telnet"))
            telnet = true;
        else if (!strcmp(argv[i], "--tls"))
            encrypted = true;
        else if (!strcmp(argv[i], "--ports") && i + 1 < argc)
            port_count = atoi(argv[++i]);
        else
            port_count = 0;
    }
    if (port_count < 1 || port_count > PORTS_MAX) {
        fprintf(stderr, "usage: load [--telnet] [--tls] [--ports 1..%d]\n", PORTS_MAX);
        return 2;
    }
    open_ports();
    while (getline(&line, &size, stdin) > 0)
        obey(line);
    return 0;
}
