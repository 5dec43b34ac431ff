/*
 * delay.c: a wire with a length: passes packets between two interfaces of its network namespace, each after a delay.
 *
 *   delay INTERFACE INTERFACE
 *
 * The delay in milliseconds, one way, is read from standard input, a number a line; it is 0 at first.  Packet sockets carry
 * the kernel's offload header along, so that big and unchecksummed packets of a veth pass as they are.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define QUEUE 8192
#define MAX_PACKET (sizeof(struct virtio_net_hdr) + 65536 + 64)

typedef struct Packet
{
	int64_t due_us;
	int to; /* the socket to send it by */
	size_t length;
	char *bytes; /* owned */
} Packet;

/* In the order of arrival; a shorter delay takes effect when the longer ones before it have passed. */
typedef struct Wire
{
	Packet queue[QUEUE];
	size_t first, count;
	int64_t delay_us;
} Wire;

static int64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static int
open_interface(const char *name)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int) if_nametoindex(name)};
	struct packet_mreq promiscuous = {.mr_ifindex = address.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL));
	int on = 1;

	if (address.sll_ifindex == 0)
		die(name);
	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) != 0 ||
		setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof(promiscuous)) != 0 ||
		setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) != 0 ||
		bind(fd, (struct sockaddr *) &address, sizeof(address)) != 0)
		die("packet socket");
	return fd;
}

static void
take_in(Wire *wire, int from, int to)
{
	static char bytes[MAX_PACKET];
	ssize_t length;

	while (wire->count < QUEUE && (length = recv(from, bytes, sizeof(bytes), 0)) > 0)
	{
		Packet *packet = &wire->queue[(wire->first + wire->count++) % QUEUE];

		*packet = (Packet){now_us() + wire->delay_us, to, (size_t) length, malloc((size_t) length)};
		if (packet->bytes == NULL)
			die("malloc");
		memcpy(packet->bytes, bytes, (size_t) length);
	}
}

static void
let_out(Wire *wire)
{
	while (wire->count > 0 && wire->queue[wire->first].due_us <= now_us())
	{
		Packet *packet = &wire->queue[wire->first];

		/* A full interface loses the packet, as interfaces do. */
		(void) !send(packet->to, packet->bytes, packet->length, 0);
		free(packet->bytes);
		wire->first = (wire->first + 1) % QUEUE;
		wire->count--;
	}
}

static void
wait_for_work(Wire *wire, struct pollfd *fds, nfds_t n)
{
	int64_t left = wire->count > 0 ? wire->queue[wire->first].due_us - now_us() : -1;
	struct timespec timeout = {left / 1000000, left % 1000000 * 1000};

	if (wire->count > 0 && left < 0)
		timeout = (struct timespec){0, 0};
	if (ppoll(fds, n, wire->count > 0 ? &timeout : NULL, NULL) < 0 && errno != EINTR)
		die("ppoll");
}

static bool
read_delay(Wire *wire)
{
	char line[64];
	ssize_t length = read(STDIN_FILENO, line, sizeof(line) - 1);

	if (length <= 0)
		return false;
	line[length] = '\0';
	wire->delay_us = (int64_t) (atof(line) * 1000);
	return true;
}

int
main(int argc, char **argv)
{
	static Wire wire;
	struct pollfd fds[3];

	if (argc != 3)
	{
		fprintf(stderr, "delay INTERFACE INTERFACE\n");
		return 2;
	}
	for (int i = 0; i < 2; i++)
		fds[i] = (struct pollfd){.fd = open_interface(argv[1 + i]), .events = POLLIN};
	fds[2] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
	for (;;)
	{
		wait_for_work(&wire, fds, 3);
		if (fds[2].revents != 0 && !read_delay(&wire))
			return 0;
		take_in(&wire, fds[0].fd, fds[1].fd);
		take_in(&wire, fds[1].fd, fds[0].fd);
		let_out(&wire);
	}
}
