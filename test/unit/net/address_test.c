/*
 * address_test.c: addresses and peers, to and from text.
 */
#include "net_test.h"

#include <arpa/inet.h>
#include <sys/un.h>

static const char *
name_of(const char *host, int port)
{
	static char name[200];
	NetAddress address;

	if (!net_address_parse(host, port, &address))
		return "refused";
	return net_address_name(&address, name, sizeof(name));
}

static void
numeric_addresses(void)
{
	is_str(name_of("127.0.0.1", 5432), "127.0.0.1:5432", "IPv4");
	is_str(name_of("::1", 5432), "[::1]:5432", "IPv6");
	is_str(name_of("[2001:db8::7]", 1), "[2001:db8::7]:1", "IPv6 in brackets");
	is_str(name_of("/tmp", 5432), "unix:/tmp/.s.PGSQL.5432", "a directory");
	is_str(name_of("@pgweir", 6432), "unix:@pgweir/.s.PGSQL.6432", "the abstract namespace");
}

static void
names_and_nonsense(void)
{
	static const char *const bad[] = {"localhost",
									  "db.example",
									  "",
									  "256.1.1.1",
									  "1.2.3",
									  "[",
									  "[]",
									  "[::1",
									  "::1]",
									  "[::1]x",
									  ":",
									  "1.2.3.4:5",
									  "fe80::1%eth0",
									  "[00000000000000000000000000000000000000000000000000001]"};
	NetAddress address;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!net_address_parse(bad[i], 5432, &address), bad[i]);
	ok(!net_address_parse("127.0.0.1", 65536, &address), "a port too large");
	ok(!net_address_parse("127.0.0.1", -1, &address), "a port too small");
}

static void
unix_path_length(void)
{
	char directory[200];
	NetAddress address;
	struct sockaddr_un un;

	memset(directory, 'd', sizeof(directory));
	directory[0] = '/';
	/* 107 bytes and the NUL fit */
	directory[sizeof(un.sun_path) - 1 - strlen("/.s.PGSQL.5432")] = '\0';
	ok(net_address_unix(directory, 5432, &address), "the longest path fits");
	memcpy(&un, &address.addr, sizeof(un));
	ok(strlen(un.sun_path) == sizeof(un.sun_path) - 1, "whole");
	ok(!net_address_unix(directory, 54321, &address), "one more does not");
}

static void
peers(void)
{
	struct sockaddr_storage storage = {0};
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(51234)};
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(5)};
	NetPeer peer;
	char buf[80];
	char tiny[6];

	inet_pton(AF_INET, "10.0.0.7", &sin.sin_addr);
	memcpy(&storage, &sin, sizeof(sin));
	net_peer_from(&storage, &peer);
	is_str(net_peer_ip(&peer, buf, sizeof(buf)), "10.0.0.7", "an IPv4 peer's address");
	is_str(net_peer_name(&peer, buf, sizeof(buf)), "10.0.0.7:51234", "and name");
	is_str(net_peer_name(&peer, tiny, sizeof(tiny)), "10.0.", "cut where there is no room");

	inet_pton(AF_INET6, "::1", &sin6.sin6_addr);
	memcpy(&storage, &sin6, sizeof(sin6));
	net_peer_from(&storage, &peer);
	is_str(net_peer_ip(&peer, buf, sizeof(buf)), "::1", "an IPv6 peer's address");
	is_str(net_peer_name(&peer, buf, sizeof(buf)), "[::1]:5", "and name");

	inet_pton(AF_INET6, "::ffff:10.1.2.3", &sin6.sin6_addr);
	memcpy(&storage, &sin6, sizeof(sin6));
	net_peer_from(&storage, &peer);
	is_int(peer.family, AF_INET, "an IPv4 address inside IPv6");
	is_str(net_peer_name(&peer, buf, sizeof(buf)), "10.1.2.3:5", "is shown as what it is");

	storage = (struct sockaddr_storage){.ss_family = AF_UNIX};
	net_peer_from(&storage, &peer);
	peer.pid = 4711;
	is_str(net_peer_ip(&peer, buf, sizeof(buf)), "unix", "a Unix peer's address");
	is_str(net_peer_name(&peer, buf, sizeof(buf)), "unix(4711)", "and name");
	ok(peer.uid == (uint32_t) -1, "whose user is unknown until it is asked for");
}

static void
blocking_lookup(void)
{
	NetAddress addresses[8];
	char error[200] = "";
	char name[80];
	int count = net_lookup("localhost", 77, addresses, 8, error, sizeof(error));

	ok(count >= 1, "localhost has an address");
	ok(count >= 1 && addresses[0].addr.ss_family == AF_INET, "IPv4 first");
	is_str(count >= 1 ? net_address_name(&addresses[0], name, sizeof(name)) : "", "127.0.0.1:77",
		   "with the port");
	is_int(net_lookup("::1", 77, addresses, 8, error, sizeof(error)), 1, "a numeric address is itself");
	is_int(net_lookup("no such host!", 77, addresses, 8, error, sizeof(error)), 0, "nonsense has none");
	ok(error[0] != '\0', "and a reason is given");
}

int
main(void)
{
	numeric_addresses();
	names_and_nonsense();
	unix_path_length();
	peers();
	blocking_lookup();
	return done_testing();
}
