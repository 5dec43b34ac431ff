/*
 * fuzz_hba.c: arbitrary bytes as HBA file and as ident file.  What is accepted is matched against a few clients; a rule that fits has
 * file and line.
 */
#include "config_input.h"

#include <arpa/inet.h>
#include "config/hba.h"
#include "session/hba.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
match(const HbaRules *rules)
{
	static const char *const names[] = {"app", "postgres", "replication", "all", ""};
	NetPeer peers[3] = {{.family = AF_INET, .ip = {127, 0, 0, 1}}, {.family = AF_INET6, .ip = {[15] = 1}}, {.family = AF_UNIX}};

	for (int i = 0; i < 3 * 5 * 4; i++)
	{
		HbaQuery query = {.peer = &peers[i % 3], .tls = i & 1, .replication = i & 2, .database = names[i % 5], .user = names[(i / 3) % 5]};
		const HbaRule *rule = hba_match(rules, &query);

		if (rule == NULL)
			continue;
		MUST(rule->line > 0 && rule->file != NULL);
		MUST(rule->connection != HBA_LOCAL || query.peer->family == AF_UNIX);
		MUST(rule->connection != HBA_HOSTSSL || query.tls);
		MUST(rule->method != HBA_PEER || query.peer->family == AF_UNIX);
		MUST(rule->method != HBA_LDAP || (rule->ldap->server != NULL && rule->ldap->port > 0));
		(void) hba_ident_allows(rules, rule->map, names[i % 5], names[(i + 1) % 5]);
	}
	for (const IdentLine *line = rules->ident; line != NULL; line = line->next)
		for (int i = 0; i < 5; i++)
			(void) hba_ident_allows(rules, line->map, names[i], names[(i + 1) % 5]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	for (int ident = 0; ident < 2; ident++)
	{
		ConfigProblems problems = {0};
		const char *path;
		HbaFile *file;

		/* a file may name another, /dev/zero say: not the reader's fault */
		if (memmem(data, n, "@", 1) != NULL || memmem(data, n, "include", 7) != NULL)
			return -1;
		path = input_file(data, n);
		file = hba_file_read(ident ? NULL : path, ident ? path : NULL, &problems);
		MUST((file == NULL) == (problems.errors > 0));
		for (int i = 0; i < problems.count; i++)
			MUST(strncmp(problems.items[i].text, "/proc/self/fd/", 14) == 0);
		if (file != NULL)
			match(hba_file_rules(file));
		hba_file_unref(file);
		problems_free(&problems);
	}
	return 0;
}
