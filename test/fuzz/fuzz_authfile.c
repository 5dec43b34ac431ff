/*
 * fuzz_authfile.c: arbitrary bytes as the auth file.  A problem names the file and says nothing of it but names of users, so no secret
 * can be in it; users that were read can be found.
 */
#include "config_input.h"

#include "config/authfile.h"
#include "session/options.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* The texts in which nothing of the file stands. */
static bool
is_fixed(const char *text)
{
	static const char *const fixed[] = {
		"broken auth file: expected \"user\" \"secret\"", "broken auth file: the user name is empty",
		"the secret begins like a SCRAM verifier but is none, and will be taken for a plain password"};

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (strcmp(text, fixed[i]) == 0)
			return true;
	return strncmp(text, "every user of this machine can read", 35) == 0 || strncmp(text, "could not read the auth file: ", 30) == 0;
}

/* user "NAME" appears again; this line counts: and there is such a user.  A very long text is cut. */
static bool
is_about_a_user(const char *text, const Settings *settings)
{
	static const char before[] = "user \"", behind[] = "\" appears again; this line counts";

	if (strncmp(text, before, sizeof(before) - 1) != 0)
		return false;
	text += sizeof(before) - 1;
	for (MapNode *node = map_next(&settings->users, NULL); node != NULL; node = map_next(&settings->users, node))
	{
		const char *name = CONTAINER_OF(node, UserSpec, node)->name;
		size_t len = strlen(name);

		if (strlen(text) > 1900 ? strncmp(text, name, 1900) == 0 : strncmp(text, name, len) == 0 && strcmp(text + len, behind) == 0)
			return true;
	}
	return false;
}

static void
check_problems(const ConfigProblems *problems, const Settings *settings)
{
	for (int i = 0; i < problems->count; i++)
	{
		const char *text = problems->items[i].text;

		MUST(strncmp(text, "/proc/self/fd/", 14) == 0 && strstr(text, ": ") != NULL);
		text = strstr(text, ": ") + 2;
		MUST(is_fixed(text) || is_about_a_user(text, settings));
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
