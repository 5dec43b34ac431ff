/*
 * hba_test.c: the grammar of auth_hba_file and auth_ident_file, and which rule fits whom.
 */
#include "config/hba.h"

#include "config_test.h"
#include <arpa/inet.h>

static HbaFile *file;

/* Read rules and maps; the problems as text. */
static const char *
read_rules(const char *rules, const char *ident)
{
	ConfigProblems problems = {0};
	const char *result;

	hba_file_unref(file);
	write_file("hba.conf", rules);
	if (ident != NULL)
		write_file("ident.conf", ident);
	file = hba_file_read("hba.conf", ident != NULL ? "ident.conf" : NULL, &problems);
	result = problems_text(&problems, PROBLEM_WARNING);
	problems_free(&problems);
	return result;
}

/* The line of the rule that fits; 0 = none.  from: "local" or an address; a leading + means TLS. */
static int
fits(const char *from, const char *database, const char *user)
{
	NetPeer peer = {.family = AF_UNIX};
	HbaQuery query = {.peer = &peer, .tls = *from == '+', .database = database, .user = user};
	const HbaRule *rule;

	from += *from == '+';
	if (inet_pton(AF_INET, from, peer.ip) == 1)
		peer.family = AF_INET;
	else if (inet_pton(AF_INET6, from, peer.ip) == 1)
		peer.family = AF_INET6;
	rule = hba_match(hba_file_rules(file), &query);
	return rule != NULL ? rule->line : 0;
}

static void
connections_and_addresses(void)
{
	is_str(read_rules("# a comment\n"
					  "local all all peer map=m # another\n"
					  "hostssl all all 10.0.0.0/8 scram-sha-256\n"
					  "hostnossl all all 10.0.0.0 255.255.0.0 md5\n"
					  "host all all ::1/128 trust\n"
					  "host all all fe80::/10 reject\n"
					  "host all all samehost password\n"
					  "host last all all cert_is_no_name_here\n", NULL),
		   "hba.conf:8: unknown method \"cert_is_no_name_here\"", "an unknown method");
	ok(file == NULL, "one mistake is enough");
	is_str(read_rules("# a comment\n"
					  "local all all peer map=m # another\n"
					  "hostssl all all 10.0.0.0/8 scram-sha-256\n"
					  "hostnossl all all 10.1.0.0 255.255.0.0 md5\n"
					  "host all all ::1/128 trust\n"
					  "host all all fe80::/10 reject\n"
					  "host all all samehost password\n"
					  "hostssl last all all cert\n", NULL), "", "right lines");
	is_int(fits("local", "d", "u"), 2, "local");
	is_int(fits("+10.2.3.4", "d", "u"), 3, "hostssl with TLS");
	is_int(fits("10.2.3.4", "d", "u"), 0, "... not without");
	is_int(fits("10.1.3.4", "d", "u"), 4, "hostnossl without TLS, address and mask");
	is_int(fits("::1", "d", "u"), 5, "an IPv6 address");
	is_int(fits("febf::7", "d", "u"), 6, "ten bits of one");
	is_int(fits("fec0::7", "d", "u"), 0, "... and no more");
	is_int(fits("127.0.0.1", "d", "u"), 7, "samehost");
	is_int(fits("127.9.0.1", "d", "u"), 0, "... is not samenet");
	is_int(fits("192.0.2.1", "last", "u"), 0, "hostssl without TLS");
	is_int(fits("+192.0.2.1", "last", "u"), 8, "all addresses");
	is_str(read_rules("host all all samenet trust\n", NULL), "", "samenet");
	is_int(fits("127.9.0.1", "d", "u"), 1, "a neighbour");
	is_str(read_rules("host all all 0.0.0.0/0 trust\n", NULL), "", "no bits");
	is_int(fits("203.0.113.9", "d", "u"), 1, "everybody with IPv4");
	is_int(fits("2001:db8::1", "d", "u"), 0, "nobody with IPv6");
}

static void
names(void)
{
	write_file("names.txt", "fromfile another # comment\nthird\n");
	is_str(read_rules("local shop , bar app trust\n"
					  "local sameuser all trust\n"
					  "local \"all\" all trust\n"
					  "local /^db[0-9]+$ all trust\n"
					  "local x @names.txt trust\n"
					  "local x \"with \"\"quotes\"\"\",\"\" trust\n"
					  "local replication all trust\n"
					  "local x \\\n  continued \\\n trust\n"
					  "local x later trust\n", NULL), "", "right lines");
	is_int(fits("local", "shop", "app"), 1, "a list");
	is_int(fits("local", "bar", "app"), 1, "its second name");
	is_int(fits("local", "app", "app"), 2, "sameuser");
	is_int(fits("local", "shop", "other"), 0, "not this one");
	is_int(fits("local", "all", "q"), 3, "in quotes it is a name");
	is_int(fits("local", "db12", "q"), 4, "a pattern");
	is_int(fits("local", "db12x", "q"), 0, "... is anchored as written");
	is_int(fits("local", "db12\n", "q"), 0, "... at the very end");
	is_int(fits("local", "x", "third"), 5, "a name of a file");
	is_int(fits("local", "x", "with \"quotes\""), 6, "quotes");
	is_int(fits("local", "replication", "q"), 0, "a database of that name is not a replication connection");
	is_int(fits("local", "x", "continued"), 8, "a continued line counts by its first");
	is_int(fits("local", "x", "later"), 11, "lines are counted on");
	is_int(fits("10.0.0.1", "shop", "app"), 0, "local rules are for Unix sockets");
}

static void
includes(void)
{
	write_file("inner.conf", "local inner all trust\n");
	write_file("loop.conf", "include loop.conf\n");
	is_str(read_rules("include inner.conf\ninclude_if_exists nowhere.conf\nlocal outer all md5\n", NULL), "", "include");
	is_int(fits("local", "inner", "u"), 1, "its rule");
	is_int(fits("local", "outer", "u"), 3, "the rule behind");
	is_str(read_rules("\ninclude nowhere.conf\n", NULL),
		   "hba.conf:2: could not read \"nowhere.conf\": No such file or directory", "one that is missing");
	is_str(read_rules("include loop.conf\n", NULL), "loop.conf:1: could not read \"loop.conf\": nested too deeply", "one that includes itself");
}

static void
mistakes(void)
{
	static const struct
	{
		const char *text;
		const char *problem;
	} cases[] = {
		{"hosts all all all md5\n", "hba.conf:1: \"hosts\": expected local, host, hostssl, hostnossl or include"},
		{"\n\nhost all all md5\n", "hba.conf:3: the line ends too early"},
		{"local all all\n", "hba.conf:1: the line ends too early"},
		{"host all all 10.0.0.0/33 md5\n", "hba.conf:1: address \"10.0.0.0/33\": bad number of bits behind the slash"},
		{"host all all 10.0.0.1 md5\n", "hba.conf:1: address \"10.0.0.1\": a mask is missing: write it behind, or /bits"},
		{"host all all db.example.com md5\n", "hba.conf:1: address \"db.example.com\": not an IP address; host names are not supported"},
		{"host all all 10.0.0.1 255.0.0.0\n", "hba.conf:1: the method is missing"},
		{"host all all all peer\n", "hba.conf:1: method peer is for local lines only"},
		{"host all all all cert\n", "hba.conf:1: method cert is for hostssl lines only"},
		{"local all all md5 map=x\n", "hba.conf:1: option \"map=x\" is unknown, or does not fit here"},
		{"local all +group md5\n", "hba.conf:1: +group: groups are not supported, since only the server knows who is in them"},
		{"local all \"open md5\n", "hba.conf:1: a quote is not closed"},
		{"local a, all md5\n", NULL},
		{"local /( all md5\n", "hba.conf:1: pattern \"(\": missing closing parenthesis (behind character 1)"},
		{"local all \"/a{3,2}\" md5\n", "hba.conf:1: pattern \"a{3,2}\": numbers out of order in {} quantifier (behind character 5)"},
		{"local all \"/(((a{1,999}){1,999}){1,999})\" md5\n", NULL},
		{"local all \"/((((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))))\" md5\n", NULL},
		{"local @nowhere all md5\n", "hba.conf:1: could not read \"nowhere\": No such file or directory"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const char *said = read_rules(cases[i].text, NULL);

		if (cases[i].problem != NULL)
			is_str(said, cases[i].problem, cases[i].text);
		else
			ok(strncmp(said, "hba.conf:1: ", 12) == 0, cases[i].text);
		ok(file == NULL, "no rules come of it");
	}
}

static void
maps(void)
{
	const HbaRules *rules;

	is_str(read_rules("local all all peer\n",
					  "m root postgres\nm /^(.*)@example\\.com$ \\1\nm boss all\n\"other\" root nobody\n"), "", "right lines");
	rules = hba_file_rules(file);
	ok(hba_ident_allows(rules, NULL, "app", "app"), "without a map the names must be the same");
	ok(!hba_ident_allows(rules, NULL, "root", "postgres"), "... exactly");
	ok(hba_ident_allows(rules, "m", "root", "postgres"), "a line of the map");
	ok(!hba_ident_allows(rules, "m", "root", "nobody"), "a line of another map");
	ok(hba_ident_allows(rules, "m", "anna@example.com", "anna"), "what the pattern matched");
	ok(!hba_ident_allows(rules, "m", "anna@example.com", "bert"), "... and nothing else");
	ok(!hba_ident_allows(rules, "m", "anna@example.org", "anna"), "no match");
	ok(hba_ident_allows(rules, "m", "boss", "anybody"), "all");
	ok(!hba_ident_allows(rules, "m", "app", "app"), "with a map the same name is not enough");
	is_str(read_rules("local all all peer\n", "m root\n"), "ident.conf:1: expected: map system-user user", "a short line");
}

/* As PostgreSQL's manual has them; and one that must not keep the process busy. */
static void
patterns(void)
{
	const HbaRules *rules;
	char name[61];

	is_str(read_rules("local \"/^db\\d{2,4}$\" all trust\n"
					  "local \"/^(a+)+$\" all trust\n"
					  "local \"/^\\w+-(?!prod)\" all trust\n"
					  "local x /app,/^x+y+z+$ trust\n",
					  "m /^(.*)@corp$ /^app\nm /^x$ \\1\nm y \\1\n"), "", "right lines");
	is_int(fits("local", "db123", "q"), 1, "digits");
	is_int(fits("local", "db1", "q"), 0, "... too few");
	is_int(fits("local", "aaa", "q"), 2, "nested repetition");
	is_int(fits("local", "shop-test", "q"), 3, "look-ahead");
	is_int(fits("local", "shop-prod", "q"), 0, "... that does not like it");
	is_int(fits("local", "x", "the_apple"), 4, "not anchored");
	memset(name, 'a', sizeof(name) - 2);
	name[sizeof(name) - 2] = '!';
	name[sizeof(name) - 1] = '\0';
	is_int(fits("local", name, "q"), 0, "one that would take years does not match");
	rules = hba_file_rules(file);
	ok(hba_ident_allows(rules, "m", "anna@corp", "app7"), "a pattern for the user");
	ok(!hba_ident_allows(rules, "m", "anna@corp", "my_app"), "... that does not match");
	ok(!hba_ident_allows(rules, "m", "x", "x"), "a group that the pattern does not have");
	ok(hba_ident_allows(rules, "m", "y", "\\1"), "without a pattern it is a name");
	is_str(read_rules("local all all peer\n", "m root +staff\n"), "ident.conf:1: +staff: groups are not supported, since only the server knows who is in them", "a group in a map");
	is_str(read_rules("local all all peer\n", "\nm /( x\n"), "ident.conf:2: pattern \"(\": missing closing parenthesis (behind character 1)", "a broken pattern in a map");
}

int
main(void)
{
	enter_test_dir();
	connections_and_addresses();
	names();
	includes();
	mistakes();
	maps();
	patterns();
	hba_file_unref(file);
	return done_testing();
}
