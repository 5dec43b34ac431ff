/*
 * resolver_test.c: names, against a small DNS server that runs on the same loop.
 */
#include "net_test.h"

#include <arpa/inet.h>

#include "net/resolver.h"

static NetLoop *loop;
static Resolver *resolver;

/* --- the DNS server --- */

#define TYPE_A 1
#define TYPE_AAAA 28
#define RCODE_SERVFAIL 2
#define RCODE_NXDOMAIN 3

static NetWatch dns;
static int questions;   /* of type A */
static bool dns_is_ill; /* answers nothing but SERVFAIL */

typedef struct Zone
{
	const char *host;
	int type;
	int count; /* addresses, the last byte counting up */
	int ttl_s;
} Zone;

static const Zone zones[] = {
	{"db.test", TYPE_A, 1, 60},         {"short.test", TYPE_A, 1, 1}, {"six.test", TYPE_AAAA, 1, 60},
	{"many.test", TYPE_A, 20, 60},      {"both.test", TYPE_A, 1, 60}, {"both.test", TYPE_AAAA, 1, 60},
	{"forever.test", TYPE_A, 1, 86400},
};

/* The name of the question, dotted; returns the offset behind name, type and class. */
static size_t
read_question(const uint8_t *packet, size_t len, char *host, int *type)
{
	size_t pos = 12;
	size_t n = 0;

	while (pos < len && packet[pos] != 0 && n + packet[pos] + 2 < 100)
	{
		if (n > 0)
			host[n++] = '.';
		memcpy(host + n, packet + pos + 1, packet[pos]);
		n += packet[pos];
		pos += packet[pos] + 1u;
	}
	host[n] = '\0';
	*type = packet[pos + 1] << 8 | packet[pos + 2];
	return pos + 5;
}

static size_t
put_address(uint8_t *out, const Zone *zone, int i)
{
	size_t size = zone->type == TYPE_A ? 4 : 16;
	uint8_t head[12] = {0xc0, 12, 0, (uint8_t) zone->type, 0, 1, 0, 0, 0, 0, 0, (uint8_t) size};
	uint32_t ttl = htonl((uint32_t) zone->ttl_s);

	memcpy(head + 6, &ttl, 4);
	memcpy(out, head, sizeof(head));
	inet_pton(zone->type == TYPE_A ? AF_INET : AF_INET6,
			  zone->type == TYPE_A ? "127.1.2.0" : "2001:db8::", out + 12);
	out[12 + size - 1] = (uint8_t) (i + 1);
	return 12 + size;
}

static bool
in_zones(const char *host)
{
	for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++)
		if (strcmp(zones[i].host, host) == 0)
			return true;
	return false;
}

static void
on_question(NetWatch *watch, bool readable, bool writable)
{
	uint8_t packet[2048];
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	ssize_t n = recvfrom(watch->fd, packet, 512, 0, (struct sockaddr *) &from, &from_len);
	char host[128];
	size_t len;
	int type;

	(void) readable;
	(void) writable;
	if (n < 17)
		return;
	len = read_question(packet, (size_t) n, host, &type);
	questions += type == TYPE_A;
	if (strcmp(host, "silent.test") == 0)
		return;
	packet[2] = 0x81;
	packet[3] = (uint8_t) (0x80 | (dns_is_ill ? RCODE_SERVFAIL : in_zones(host) ? 0 : RCODE_NXDOMAIN));
	memset(packet + 6, 0, 6); /* no answers, no authority, nothing additional */
	for (size_t i = 0; !dns_is_ill && i < sizeof(zones) / sizeof(zones[0]); i++)
		if (strcmp(zones[i].host, host) == 0 && zones[i].type == type)
			for (int k = 0; k < zones[i].count; k++, packet[7]++)
				len += put_address(packet + len, &zones[i], k);
	if (sendto(watch->fd, packet, len, 0, (struct sockaddr *) &from, from_len) < 0)
		abort();
}

static void
start_dns(char *servers, size_t size)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	dns.on_ready = on_question;
	if (bind(fd, (struct sockaddr *) &sin, sizeof(sin)) < 0 ||
		getsockname(fd, (struct sockaddr *) &sin, &len) < 0 || !net_watch(loop, &dns, fd, true, false))
		abort();
	snprintf(servers, size, "127.0.0.1:%d", ntohs(sin.sin_port));
}

/* --- asking --- */

typedef struct Answer
{
	int calls;
	int count;
	NetAddress addresses[RESOLVER_MAX_ADDRESSES];
	char error[100];
	bool ask_again; /* asks the same name again in the callback */
	ResolverQuery *query;
	ResolverQuery *cancel; /* cancelled in the callback */
} Answer;

static void
on_done(void *arg, const NetAddress *addresses, int count, const char *error)
{
	Answer *answer = arg;

	answer->calls++;
	answer->count = count;
	memcpy(answer->addresses, addresses, sizeof(NetAddress) * (size_t) count);
	snprintf(answer->error, sizeof(answer->error), "%s", error != NULL ? error : "");
	resolver_cancel(answer->cancel);
	answer->cancel = NULL;
	if (answer->ask_again)
	{
		answer->ask_again = false;
		answer->query = resolver_ask(resolver, "db.test", 1, on_done, answer);
	}
}

static void
ask(Answer *answer, const char *host, int port)
{
	*answer = (Answer){0};
	answer->query = resolver_ask(resolver, host, port, on_done, answer);
	ok(answer->query != NULL && answer->calls == 0, "asking calls nobody at once");
}

static const char *
first_name(const Answer *answer)
{
	static char name[100];

	return answer->count > 0 ? net_address_name(&answer->addresses[0], name, sizeof(name)) : "none";
}

static void
resolves_a_name(void)
{
	Answer answer;
	Answer second;

	ask(&answer, "db.test", 5432);
	ask(&second, "db.test", 6543);
	ok(turn_until(loop, &answer.calls, 1) && turn_until(loop, &second.calls, 1), "two who ask for one name");
	is_str(first_name(&answer), "127.1.2.1:5432", "get its address with the port they asked for");
	is_str(first_name(&second), "127.1.2.1:6543", "each with its own");
	is_int(questions, 1, "and DNS is asked once");
	ask(&answer, "db.test", 1);
	ok(turn_until(loop, &answer.calls, 1) && questions == 1, "asked again, the answer comes from the cache");
	is_str(first_name(&answer), "127.1.2.1:1", "the same");
}

static void
both_families(void)
{
	Answer answer;

	ask(&answer, "six.test", 5432);
	ok(turn_until(loop, &answer.calls, 1), "a name with an IPv6 address only");
	is_str(first_name(&answer), "[2001:db8::1]:5432", "has that");
	ask(&answer, "both.test", 5432);
	turn_until(loop, &answer.calls, 1);
	is_int(answer.count, 2, "a name with both has both");
}

static void
numeric_addresses_need_no_dns(void)
{
	Answer answer;
	int before = questions;

	ask(&answer, "127.0.0.1", 5432);
	ok(turn_until(loop, &answer.calls, 1), "a numeric address is answered");
	is_str(first_name(&answer), "127.0.0.1:5432", "with itself");
	ask(&answer, "/tmp", 5432);
	turn_until(loop, &answer.calls, 1);
	is_str(first_name(&answer), "unix:/tmp/.s.PGSQL.5432", "a directory with its socket");
	ask(&answer, "localhost", 5432);
	ok(turn_until(loop, &answer.calls, 1) && answer.count >= 1, "localhost comes from the hosts file");
	is_int(questions, before, "DNS is not asked for any of them");
}

static void
many_addresses(void)
{
	Answer answer;

	ask(&answer, "many.test", 5432);
	turn_until(loop, &answer.calls, 1);
	is_int(answer.count, RESOLVER_MAX_ADDRESSES, "of twenty addresses the first sixteen are given");
}

static void
unknown_names(void)
{
	Answer answer;
	int before;

	ask(&answer, "missing.test", 5432);
	ok(turn_until(loop, &answer.calls, 1) && answer.count == 0, "an unknown name has no address");
	ok(answer.error[0] != '\0', "and a reason");
	before = questions;
	ask(&answer, "missing.test", 5432);
	ok(turn_until(loop, &answer.calls, 1) && questions == before, "that is remembered");
	turn_for(loop, 650 * USEC_PER_MSEC);
	ask(&answer, "missing.test", 5432);
	ok(turn_until(loop, &answer.calls, 1) && questions > before, "for nxdomain_ttl");
	ask(&answer, "bad..name", 5432);
	ok(turn_until(loop, &answer.calls, 1) && answer.count == 0, "a malformed name has no address either");
}

typedef struct Visit
{
	const char *host;
	usec_t ttl_us;
	int count;
} Visit;

static void
on_visit(void *arg, const char *host, usec_t ttl_us, const NetAddress *addresses, int count)
{
	Visit *visit = arg;
	char name[100];

	if (strcmp(host, visit->host) != 0)
		return;
	visit->ttl_us = ttl_us;
	visit->count = count;
	if (count > 0)
		ok(strchr(net_address_name(&addresses[0], name, sizeof(name)), ':') != NULL, "addresses are shown");
}

static usec_t
ttl_of(const char *host)
{
	Visit visit = {.host = host, .count = -1};

	resolver_walk(resolver, on_visit, &visit);
	return visit.count >= 0 ? visit.ttl_us : -1;
}

static void
ttl_is_kept_and_clamped(void)
{
	Answer answer;
	int before;

	ask(&answer, "forever.test", 1);
	turn_until(loop, &answer.calls, 1);
	ok(ttl_of("forever.test") <= 15 * USEC_PER_SEC && ttl_of("forever.test") > 0,
	   "a long life is cut to max_ttl");
	ask(&answer, "short.test", 1);
	turn_until(loop, &answer.calls, 1);
	before = questions;
	ask(&answer, "short.test", 1);
	ok(turn_until(loop, &answer.calls, 1) && questions == before,
	   "within its life an answer is not asked for again");
	turn_for(loop, 1100 * USEC_PER_MSEC);
	ask(&answer, "short.test", 1);
	ok(turn_until(loop, &answer.calls, 1) && questions == before + 1, "after it is");
}

/* short.test has been answered before and is expired soon. */
static void
old_answers_bridge_an_outage(void)
{
	Answer answer;

	turn_for(loop, 1100 * USEC_PER_MSEC);
	dns_is_ill = true;
	ask(&answer, "short.test", 77);
	ok(turn_until(loop, &answer.calls, 1), "while DNS fails");
	is_str(first_name(&answer), "127.1.2.1:77", "the last answer is given again");
	ask(&answer, "never.test", 77);
	ok(turn_until(loop, &answer.calls, 1) && answer.count == 0 && answer.error[0] != '\0',
	   "a name never heard of has none");
	dns_is_ill = false;
}

static void
cancelling(void)
{
	Answer waiting;
	Answer cached;
	Answer killer;

	ask(&waiting, "silent.test", 1);
	ask(&cached, "db.test", 1);
	resolver_cancel(waiting.query);
	resolver_cancel(cached.query);
	resolver_cancel(NULL);
	ask(&killer, "db.test", 1);
	ask(&cached, "db.test", 1);
	killer.cancel = cached.query;
	killer.ask_again = true;
	ok(turn_until(loop, &killer.calls, 2), "a callback may ask again and cancel others");
	turn_for(loop, 30 * USEC_PER_MSEC);
	ok(waiting.calls == 0 && cached.calls == 0, "who has cancelled is not called");
}

static void
counts_and_pending(void)
{
	Answer answer;
	ResolverCounts counts;

	ask(&answer, "silent.test", 1);
	turn_for(loop, 10 * USEC_PER_MSEC);
	counts = resolver_counts(resolver);
	ok(counts.names == 2, "the names asked so far are counted");
	is_int(counts.asking, 1, "those being asked as well");
	is_int(counts.queries, 1, "and those who wait");
	is_int(ttl_of("silent.test"), 0, "a name being asked has no life yet");
	is_int(ttl_of("unheard.test"), -1, "what was never asked is not there");
}

static void
options_and_servers(void)
{
	ResolverOptions options = {.max_ttl_us = 15 * USEC_PER_SEC, .nxdomain_ttl_us = 600 * USEC_PER_MSEC};
	Answer answer;

	ok(!resolver_use_servers(resolver, "not an address"), "malformed servers are refused");
	resolver_set_options(resolver, &options);
	ask(&answer, "db.test", 3);
	turn_until(loop, &answer.calls, 1);
	is_str(first_name(&answer), "127.1.2.1:3", "after a reload the cache and the servers are still there");
	resolver_free(resolver);
	resolver = resolver_create(loop, &options);
}

int
main(void)
{
	ResolverOptions options = {.max_ttl_us = 15 * USEC_PER_SEC, .nxdomain_ttl_us = 600 * USEC_PER_MSEC};
	char servers[64];
	Answer last;

	loop = net_loop_create(NULL);
	resolver = resolver_create(loop, &options);
	start_dns(servers, sizeof(servers));
	ok(resolver != NULL && resolver_use_servers(resolver, servers), "a resolver with a server of ours");
	resolves_a_name();
	both_families();
	numeric_addresses_need_no_dns();
	many_addresses();
	unknown_names();
	ttl_is_kept_and_clamped();
	old_answers_bridge_an_outage();
	options_and_servers();
	ok(resolver_use_servers(resolver, servers), "another resolver");
	ask(&last, "db.test", 1);
	turn_until(loop, &last.calls, 1);
	cancelling();
	counts_and_pending();
	ask(&last, "db.test", 1);
	resolver_free(resolver);
	turn_for(loop, 20 * USEC_PER_MSEC);
	is_int(last.calls, 0, "freeing the resolver calls nobody");
	is_int(net_timers(loop)->count, 0, "and leaves no timer");
	resolver_free(NULL);
	net_unwatch(&dns);
	close(dns.fd);
	net_loop_free(loop);
	return done_testing();
}
