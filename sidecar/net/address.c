/*
 * address.c: addresses to and from text, and peers.
 */
#include "net/net.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#include "base/text.h"

/* --- parsing --- */

static void
set_ipv4(NetAddress *out, const struct in_addr *ip, int port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t) port), .sin_addr = *ip};

	*out = (NetAddress){.len = sizeof(sin)};
	memcpy(&out->addr, &sin, sizeof(sin));
}

static void
set_ipv6(NetAddress *out, const struct in6_addr *ip, int port)
{
	struct sockaddr_in6 sin6 = {
		.sin6_family = AF_INET6, .sin6_port = htons((uint16_t) port), .sin6_addr = *ip};

	*out = (NetAddress){.len = sizeof(sin6)};
	memcpy(&out->addr, &sin6, sizeof(sin6));
}

bool
net_address_unix(const char *directory, int port, NetAddress *out)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	bool abstract = directory[0] == '@';
	int n = snprintf(un.sun_path, sizeof(un.sun_path), "%s/.s.PGSQL.%d", directory, port);

	if (n < 0 || (size_t) n >= sizeof(un.sun_path))
		return false;
	if (abstract)
		un.sun_path[0] = '\0';
	*out = (NetAddress){
		.len = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + (size_t) n + (abstract ? 0 : 1))};
	memcpy(&out->addr, &un, sizeof(un));
	return true;
}

bool
net_address_same_host(const NetAddress *a, const NetAddress *b)
{
	if (a->addr.ss_family != b->addr.ss_family)
		return false;
	if (a->addr.ss_family == AF_INET)
		return ((const struct sockaddr_in *) &a->addr)->sin_addr.s_addr ==
			   ((const struct sockaddr_in *) &b->addr)->sin_addr.s_addr;
	if (a->addr.ss_family == AF_INET6)
		return memcmp(&((const struct sockaddr_in6 *) &a->addr)->sin6_addr,
					  &((const struct sockaddr_in6 *) &b->addr)->sin6_addr, sizeof(struct in6_addr)) == 0;
	return a->len == b->len && memcmp(&a->addr, &b->addr, a->len) == 0;
}

/* "[::1]" is taken as well as "::1"; "fe80::1%eth0" is a matter for the lookup. */
static bool
parse_ipv6(const char *host, struct in6_addr *ip)
{
	char plain[INET6_ADDRSTRLEN];
	size_t len = strlen(host);

	if (host[0] != '[')
		return inet_pton(AF_INET6, host, ip) == 1;
	if (host[len - 1] != ']' || len - 2 >= sizeof(plain))
		return false;
	memcpy(plain, host + 1, len - 2);
	plain[len - 2] = '\0';
	return inet_pton(AF_INET6, plain, ip) == 1;
}

bool
net_address_parse(const char *host, int port, NetAddress *out)
{
	struct in_addr ip4;
	struct in6_addr ip6;

	if (host[0] == '/' || host[0] == '@')
		return net_address_unix(host, port, out);
	if (port < 0 || port > 65535)
		return false;
	if (inet_pton(AF_INET, host, &ip4) == 1)
	{
		set_ipv4(out, &ip4, port);
		return true;
	}
	if (parse_ipv6(host, &ip6))
	{
		set_ipv6(out, &ip6, port);
		return true;
	}
	return false;
}

/* --- blocking lookup --- */

static int
take_family(const struct addrinfo *found, int family, NetAddress *out, int max)
{
	int count = 0;

	for (; found != NULL && count < max; found = found->ai_next)
	{
		if (found->ai_family != family)
			continue;
		out[count] = (NetAddress){.len = found->ai_addrlen};
		memcpy(&out[count].addr, found->ai_addr, found->ai_addrlen);
		count++;
	}
	return count;
}

int
net_lookup(const char *host, int port, NetAddress *out, int max, char *error, size_t error_size)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *found = NULL;
	char service[16];
	int count;
	int rc;

	if (max > 0 && net_address_parse(host, port, out))
		return 1;
	snprintf(service, sizeof(service), "%d", port);
	if ((rc = getaddrinfo(host, service, &hints, &found)) != 0)
	{
		snprintf(error, error_size, "%s", gai_strerror(rc));
		return 0;
	}
	count = take_family(found, AF_INET, out, max);
	count += take_family(found, AF_INET6, out + count, max - count);
	freeaddrinfo(found);
	if (count == 0)
		snprintf(error, error_size, "no address found");
	return count;
}

/* --- peers --- */

void
net_peer_from(const struct sockaddr_storage *addr, NetPeer *peer)
{
	*peer = (NetPeer){.family = (uint8_t) addr->ss_family, .uid = (uint32_t) -1};
	if (addr->ss_family == AF_INET)
	{
		const struct sockaddr_in *sin = (const struct sockaddr_in *) addr;

		peer->port = ntohs(sin->sin_port);
		memcpy(peer->ip, &sin->sin_addr, 4);
	}
	else if (addr->ss_family == AF_INET6)
	{
		const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *) addr;

		peer->port = ntohs(sin6->sin6_port);
		memcpy(peer->ip, &sin6->sin6_addr, 16);
		if (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr))
		{
			peer->family = AF_INET;
			memset(peer->ip, 0, sizeof(peer->ip));
			memcpy(peer->ip, &sin6->sin6_addr.s6_addr[12], 4);
		}
	}
}

/* --- text --- */

/* inet_ntop() asks printf for it. */
static const char *
put_ipv4(const uint8_t ip[4], char *buf, const char *end)
{
	char *at = text_put_number(buf, end, ip[0]);

	for (int i = 1; i < 4; i++)
		at = text_put_number(text_put(at, end, "."), end, ip[i]);
	return buf;
}

const char *
net_peer_ip(const NetPeer *peer, char *buf, size_t size)
{
	if (peer->family == AF_INET)
		return put_ipv4(peer->ip, buf, buf + size);
	if (peer->family != AF_INET6 || inet_ntop(peer->family, peer->ip, buf, (socklen_t) size) == NULL)
		snprintf(buf, size, "unix");
	return buf;
}

const char *
net_peer_name(const NetPeer *peer, char *buf, size_t size)
{
	char ip[INET6_ADDRSTRLEN];
	const char *end = buf + size;
	char *at = buf;

	if (peer->family == AF_INET)
		at = text_put(at, end, net_peer_ip(peer, ip, sizeof(ip)));
	else if (peer->family == AF_INET6)
		at = text_put(text_put(text_put(at, end, "["), end, net_peer_ip(peer, ip, sizeof(ip))), end, "]");
	else
		at = text_put(text_put_number(text_put(at, end, "unix("), end, peer->pid), end, ")");
	if (peer->port > 0 || peer->family == AF_INET || peer->family == AF_INET6)
		(void) text_put_number(text_put(at, end, ":"), end, peer->port);
	return buf;
}

static const char *
unix_name(const NetAddress *address, char *buf, size_t size)
{
	struct sockaddr_un un = {0};
	size_t head = offsetof(struct sockaddr_un, sun_path);
	size_t len = address->len > head ? address->len - head : 0;
	const char *path = un.sun_path;

	memcpy(&un, &address->addr, sizeof(un));
	if (len > 0 && path[0] == '\0')
		snprintf(buf, size, "unix:@%.*s", (int) len - 1, path + 1);
	else
		snprintf(buf, size, "unix:%.*s", (int) len, path);
	return buf;
}

const char *
net_address_name(const NetAddress *address, char *buf, size_t size)
{
	NetPeer peer;

	if (address->addr.ss_family == AF_UNIX)
		return unix_name(address, buf, size);
	net_peer_from(&address->addr, &peer);
	return net_peer_name(&peer, buf, size);
}
