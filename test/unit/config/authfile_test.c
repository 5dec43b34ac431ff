/*
 * authfile_test.c: the grammar of the auth file, and that its texts never show a line of it.
 */
#include "config/authfile.h"

#include "config_test.h"

static Settings settings;
static Arena arena;

static void
forget(void)
{
	map_free(&settings.users);
	arena_free(&arena);
	settings_init_users(&settings);
}

/* Read a file with this content into empty settings; returns errors and warnings. */
static const char *
read_text(const char *text)
{
	ConfigProblems problems = {0};
	const char *result;

	forget();
	write_file("users.txt", text);
	authfile_read("users.txt", &settings, &arena, &problems);
	result = problems_text(&problems, PROBLEM_WARNING);
	problems_free(&problems);
	return result;
}

static const char *
secret_of(const char *name)
{
	const UserSpec *user = settings_find_user(&settings, name);

	return user == NULL ? "(no user)" : user->secret == NULL ? "(no secret)" : user->secret;
}

static void
users_and_secrets(void)
{
	is_str(read_text("\"app\" \"plain pw\"\n"
					 "\"md\"\t\"md5aaaabbbbccccddddaaaabbbbccccdddd\" \"more\"\n"
					 "  \"sc\" \"SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy\"\r\n"
					 "; a comment \"x\" \"y\"\n"
					 "\n"
					 "\"none\" \"\" anything\n"
					 "\"we\"\"ird\" \"a\"\"b\"\n"
					 "\"last\"\"\"\n"
					 "\"end\" \"no newline\""),
		   "users.txt:8: broken auth file: expected \"user\" \"secret\"", "one line is wrong");
	is_str(secret_of("app"), "plain pw", "plain");
	is_str(secret_of("md"), "md5aaaabbbbccccddddaaaabbbbccccdddd", "md5");
	is_str(secret_of("sc"), "SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy", "scram");
	is_str(secret_of("none"), "", "empty");
	is_str(secret_of("we\"ird"), "a\"b", "doubled quotes");
	is_str(secret_of("end"), "no newline", "without a last newline");
	is_str(secret_of("x"), "(no user)", "comments are comments");
	is_int((long long) settings.users.count, 6, "nobody else");
	is_int(settings_find_user(&settings, "app")->pool_size, OPTION_INHERIT,
		   "such a user inherits everything");
	is_int(settings_find_user(&settings, "app")->pool_mode, POOL_MODE_INHERIT, "the mode too");
}

static void
broken_lines_are_named_and_not_shown(void)
{
	const char *errors = read_text("\"ok\" \"topsecret1\"\n"
								   "app \"topsecret2\"\n"
								   "\"app\" topsecret3\n"
								   "\"app\" \"topsecret4\n"
								   "\"app\n"
								   "\"\" \"topsecret5\"\n"
								   "\"app\"\n");

	is_str(errors,
		   "users.txt:2: broken auth file: expected \"user\" \"secret\"\n"
		   "users.txt:3: broken auth file: expected \"user\" \"secret\"\n"
		   "users.txt:4: broken auth file: expected \"user\" \"secret\"\n"
		   "users.txt:5: broken auth file: expected \"user\" \"secret\"\n"
		   "users.txt:6: broken auth file: the user name is empty\n"
		   "users.txt:7: broken auth file: expected \"user\" \"secret\"",
		   "each with its line");
	is_str(secret_of("app"), "(no user)", "none of them makes a user");
}

static void
suspicious_files_get_a_warning(void)
{
	ConfigProblems problems = {0};

	is_str(read_text("\"a\" \"1\"\n\"a\" \"2\"\n"), "users.txt:2: user \"a\" appears again; this line counts",
		   "twice");
	is_str(secret_of("a"), "2", "the last line counts");
	is_str(read_text("\"a\" \"SCRAM-SHA-256$oops\"\n"),
		   "users.txt:1: the secret begins like a SCRAM verifier but is none, and will be taken for a plain "
		   "password",
		   "a broken verifier");

	forget();
	write_file("users.txt", "\"a\" \"1\"\n");
	chmod("users.txt", 0644);
	authfile_read("users.txt", &settings, &arena, &problems);
	is_str(problems_text(&problems, PROBLEM_WARNING),
		   "users.txt: every user of this machine can read the secrets in the auth file (mode 0644); chmod "
		   "0640 would do",
		   "readable for all");
	problems_free(&problems);

	forget();
	write_file("users.txt", "\"a\" \"\"\n");
	chmod("users.txt", 0644);
	authfile_read("users.txt", &settings, &arena, &problems);
	is_str(problems_text(&problems, PROBLEM_WARNING), "", "without a secret in it that is fine");
	problems_free(&problems);
}

static void
a_missing_file_is_an_error(void)
{
	ConfigProblems problems = {0};

	forget();
	authfile_read("nowhere.txt", &settings, &arena, &problems);
	is_str(problems_text(&problems, PROBLEM_ERROR),
		   "nowhere.txt: could not read the auth file: No such file or directory", "named");
	problems_free(&problems);
}

static void
ten_thousand_users(void)
{
	const int users = 10000;
	char *text = malloc((size_t) users * 32);
	size_t used = 0;

	if (text == NULL)
		exit(1);
	for (int i = 0; i < users; i++)
		used += (size_t) snprintf(text + used, 32, "\"user%d\" \"pw%d\"\n", i, i);
	is_str(read_text(text), "", "no problem");
	is_int((long long) settings.users.count, users, "all there");
	is_str(secret_of("user9999"), "pw9999", "the last one too");
	free(text);
}

int
main(void)
{
	enter_test_dir();
	users_and_secrets();
	broken_lines_are_named_and_not_shown();
	suspicious_files_get_a_warning();
	a_missing_file_is_an_error();
	ten_thousand_users();
	forget();
	return done_testing();
}
