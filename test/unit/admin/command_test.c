/*
 * command_test.c: what the console's grammar accepts and what it does not.
 */
#include "admin/command.h"

#include "tap.h"

static void
plain(const char *text, const char *name, const char *argument)
{
	Command command;

	if (is_int(command_parse(slice_str(text), &command), COMMAND_PLAIN, "plain: %s", text))
	{
		is_str(command.name, name, "name of: %s", text);
		is_str(command.argument, argument, "argument of: %s", text);
	}
}

static void
set(const char *text, const char *key, const char *value)
{
	Command command;

	if (is_int(command_parse(slice_str(text), &command), COMMAND_SET, "set: %s", text))
	{
		is_str(command.argument, key, "key of: %s", text);
		is_str(command.value, value, "value of: %s", text);
	}
}

static void
refused(const char *text, CommandKind kind)
{
	Command command;

	is_int(command_parse(slice_str(text), &command), kind, "%s: %s", kind == COMMAND_TOO_LONG ? "too long" : "invalid",
		   text);
}

static void
words_and_quotes(void)
{
	plain("RELOAD", "RELOAD", "");
	plain("show pools", "show", "pools");
	plain(" \t\r\n show \n pools \t;\n ", "show", "pools");
	plain("show pools;", "show", "pools");
	plain("pause \"My Db\"", "pause", "My Db");
	plain("pause \"a\"\"b\"", "pause", "a\"b");
	plain("\"show\" \"POOLS\"", "show", "POOLS");
	plain("KILL_CLIENT 42", "KILL_CLIENT", "42");
	plain("pause \"\"", "pause", "");
	plain("pause \"x;y\" ;", "pause", "x;y");
	/* no sentence of its own: the dispatcher does not know a command of that name */
	plain("set x", "set", "x");
}

static void
not_a_command(void)
{
	refused("", COMMAND_INVALID);
	refused("   ", COMMAND_INVALID);
	refused(";", COMMAND_INVALID);
	refused("show pools; show pools", COMMAND_INVALID);
	refused("show pools;;", COMMAND_INVALID);
	refused("show pools x", COMMAND_INVALID);
	refused("show -x", COMMAND_INVALID);
	refused("/* c */ show pools", COMMAND_INVALID);
	refused("-- c", COMMAND_INVALID);
	refused("pause \"open", COMMAND_INVALID);
	refused("pause 'shop'", COMMAND_INVALID);
	refused("pause\"shop\"", COMMAND_INVALID);
	refused("show p\xc3\xb6", COMMAND_INVALID);
}

static void
set_sentences(void)
{
	set("set verbose=1", "verbose", "1");
	set("SET verbose = 1 ;", "verbose", "1");
	set("set verbose to 2", "verbose", "2");
	set("set verbose TO'2'", "verbose", "2");
	set("set pool_mode = 'transaction'", "pool_mode", "transaction");
	set("set x = 'it''s; so'", "x", "it's; so");
	set("set \"odd key\" = \"odd value\"", "odd key", "odd value");
	set("set x = ''", "x", "");
	refused("set x = ", COMMAND_INVALID);
	refused("set x 1", COMMAND_INVALID);
	refused("set = 1", COMMAND_INVALID);
	refused("set x = 1 2", COMMAND_INVALID);
	refused("set x = 1.5", COMMAND_INVALID);
	refused("set x = 'open", COMMAND_INVALID);
	refused("set x = 1; set y = 2", COMMAND_INVALID);
	refused("setx = 1", COMMAND_INVALID);
}

/* One more character than fits. */
static void
limits(void)
{
	char text[600];

	plain("abcdefghijklmno", "abcdefghijklmno", "");
	refused("abcdefghijklmnop", COMMAND_TOO_LONG);
	snprintf(text, sizeof(text), "show %063d", 1);
	is_int(command_parse(slice_str(text), &(Command){0}), COMMAND_PLAIN, "an argument of 63");
	snprintf(text, sizeof(text), "show %064d", 1);
	refused(text, COMMAND_TOO_LONG);
	snprintf(text, sizeof(text), "set x = '%0255d'", 1);
	is_int(command_parse(slice_str(text), &(Command){0}), COMMAND_SET, "a value of 255");
	snprintf(text, sizeof(text), "set x = '%0256d'", 1);
	refused(text, COMMAND_TOO_LONG);
	snprintf(text, sizeof(text), "abcdefghijklmnop %064d x", 1);
	refused(text, COMMAND_INVALID);
}

/* Every beginning of a text, and a NUL inside: nothing is read behind the end. */
static void
every_length(void)
{
	const char *const texts[] = {"pause \"a\"\"b\" ;", "set \"k\" to 'v''w' ;"};
	Command command;

	for (size_t i = 0; i < 2; i++)
		for (size_t len = 0; len <= strlen(texts[i]); len++)
		{
			uint8_t *copy = malloc(len > 0 ? len : 1);

			memcpy(copy, texts[i], len);
			(void) command_parse(slice_make(copy, len), &command);
			free(copy);
		}
	is_int(command_parse(slice_make("show\0pools", 10), &command), COMMAND_INVALID, "a NUL inside");
	is_int(command_parse(slice_make("pause \"a\0b\"", 11), &command), COMMAND_INVALID, "a NUL inside quotes");
	is_int(command_parse((Slice){NULL, 0}, &command), COMMAND_INVALID, "nothing at all");
}

int
main(void)
{
	words_and_quotes();
	not_a_command();
	set_sentences();
	limits();
	every_length();
	return done_testing();
}
