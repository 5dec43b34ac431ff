/*
 * fuzz_authfile.c: arbitrary bytes as the auth file.  Every problem names the file; no text of a problem holds a secret that is long
 * enough to be told from a common word; users that were read can be found.
 */
#include "config_input.h"

#include "config/authfile.h"
#include "session/options.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
check_problems(const ConfigProblems *problems, const Settings *settings)
{
	for (int i = 0; i < problems->count; i++)
	{
		MUST(strncmp(problems->items[i].text, "/proc/self/fd/", 14) == 0);
		for (MapNode *node = map_next(&settings->users, NULL); node != NULL; node = map_next(&settings->users, node))
		{
			const UserSpec *user = CONTAINER_OF(node, UserSpec, node);

			/* a name may be said, and may be equal to a secret */
			if (user->secret != NULL && strlen(user->secret) > 12 && strstr(user->name, user->secret) == NULL)
				MUST(strstr(problems->items[i].text, user->secret) == NULL || strstr(problems->items[i].text, user->name) != NULL);
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	Settings settings = {0};
	Arena arena = {0};
	ConfigProblems problems = {0};
	const UserSpec *users[256];
	int count = 0;

	settings_init_users(&settings);
	authfile_read(input_file(data, n), &settings, &arena, &problems);
	for (MapNode *node = map_next(&settings.users, NULL); node != NULL && count < 256; node = map_next(&settings.users, node))
		users[count++] = CONTAINER_OF(node, UserSpec, node);
	for (int i = 0; i < count; i++)
	{
		MUST(users[i]->name[0] != '\0' && users[i]->secret != NULL);
		MUST(settings_find_user(&settings, users[i]->name) == users[i]);
	}
	check_problems(&problems, &settings);
	problems_free(&problems);
	map_free(&settings.users);
	arena_free(&arena);
	return 0;
}
