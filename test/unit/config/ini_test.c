/*
 * ini_test.c: the grammar of the file and of connection strings, as a list of what the reader reported.
 */
#include "config/ini.h"

#include "config_test.h"

static char events[8192];

static void add_event(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void
add_event(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(events + strlen(events), sizeof(events) - strlen(events), format, args);
	va_end(args);
}

static void
on_section(void *arg, const FilePlace *place, const char *section)
{
	(void) arg;
	(void) place;
	add_event("[%s]", section);
}

static void
on_value(void *arg, const FilePlace *place, const char *section, const char *key, const char *value)
{
	(void) arg;
	add_event("%s:%d:%s.%s=%s|", place->file, place->line, section != NULL ? section : "", key, value);
}

/* Read a file; returns the errors, the events are in `events`. */
static const char *
read_file(const char *name)
{
	const IniHandler handler = {NULL, on_section, on_value};
	ConfigProblems problems = {0};
	const char *errors;

	events[0] = '\0';
	ini_read(name, &handler, &problems);
	errors = problems_text(&problems, PROBLEM_ERROR);
	problems_free(&problems);
	return errors;
}

static const char *
read_text(const char *text)
{
	write_file("a.ini", text);
	return read_file("a.ini");
}

static void
sections_and_values_are_reported_in_order(void)
{
	is_str(read_text("[one]\na = 1\n  b=2  \n\n[two]\nc = x y\n[one]\nd =\n"), "", "no error");
	is_str(events, "[one]a.ini:2:one.a=1|a.ini:3:one.b=2|[two]a.ini:6:two.c=x y|[one]a.ini:8:one.d=|",
		   "sections repeat, blanks around key and value go, an empty value is a value");
}

static void
comments_only_start_a_line(void)
{
	is_str(read_text("; c\n# c\n  ; c\n[s] ; c\na = 1 ; not a comment\nb = x#y\n"), "", "no error");
	is_str(events, "[s]a.ini:5:s.a=1 ; not a comment|a.ini:6:s.b=x#y|", "later they are data");
}

static void
keys_may_be_quoted(void)
{
	is_str(read_text("[d]\n'my db' = 1\n\"my db\"=2\n'it''s' = 3\n* = 4\na.b-c_d*9 = 5\n'' = 6\n"), "",
		   "no error");
	is_str(events,
		   "[d]a.ini:2:d.my db=1|a.ini:3:d.my "
		   "db=2|a.ini:4:d.it's=3|a.ini:5:d.*=4|a.ini:6:d.a.b-c_d*9=5|a.ini:7:d.=6|",
		   "single and double quotes, a doubled quote, all bare characters");
}

static void
line_ends_do_not_matter(void)
{
	is_str(read_text("[s]\r\na = 1\r\nb = 2"), "", "no error");
	is_str(events, "[s]a.ini:2:s.a=1|a.ini:3:s.b=2|", "CR LF, and a last line without an end");
	is_str(read_text(""), "", "an empty file is well-formed");
	is_str(events, "", "and holds nothing");
}

static void
a_value_before_a_section_has_no_section(void)
{
	read_text("a = 1\n");
	is_str(events, "a.ini:1:.a=1|", "section NULL");
}

static void
syntax_errors_name_the_line_and_reading_goes_on(void)
{
	is_str(read_text("[s]\nno equals\n= 1\n'open = 2\n[open\na b = 3\nlast = 4\n%includes x\n"),
		   "a.ini:2: syntax error: expected key = value, [section], %include FILE or a comment\n"
		   "a.ini:3: syntax error: expected key = value, [section], %include FILE or a comment\n"
		   "a.ini:4: syntax error: the quoted key has no closing quote\n"
		   "a.ini:5: syntax error: the section header has no closing bracket\n"
		   "a.ini:6: syntax error: expected key = value, [section], %include FILE or a comment\n"
		   "a.ini:8: syntax error: expected %include FILE",
		   "each is found");
	is_str(events, "[s]a.ini:7:s.last=4|", "and what is right is read");
}

static void
includes_share_the_section(void)
{
	write_file("b.ini", "b = 2\n[t]\nc = 3\n");
	is_str(read_text("[s]\na = 1\n%include b.ini  \nd = 4\n"), "", "no error");
	is_str(events, "[s]a.ini:2:s.a=1|b.ini:1:s.b=2|[t]b.ini:3:t.c=3|a.ini:4:t.d=4|",
		   "the section goes into the included file and comes out of it");
	is_str(read_text("%include nowhere.ini\n"),
		   "a.ini:1: could not read included file \"nowhere.ini\": No such file or directory",
		   "a missing file is reported where it is asked for");
	is_str(read_text("%include\n"), "a.ini:1: syntax error: expected %include FILE", "a name is needed");
}

static void
include_depth_is_bounded(void)
{
	char name[32];
	char text[64];

	for (int i = 1; i <= 11; i++)
	{
		snprintf(name, sizeof(name), "d%d.ini", i);
		snprintf(text, sizeof(text), "k%d = 1\n%%include d%d.ini\n", i, i + 1);
		write_file(name, text);
	}
	write_file("d10.ini", "k10 = 1\n");
	is_str(read_file("d1.ini"), "", "ten files deep are fine");
	ok(strstr(events, "k10=1") != NULL, "the tenth is read");

	write_file("d10.ini", "k10 = 1\n%include d11.ini\n");
	is_str(read_file("d1.ini"), "d10.ini:2: %include is nested more than 10 files deep", "eleven are not");
	write_file("self.ini", "a = 1\n%include self.ini\n");
	is_str(read_file("self.ini"), "self.ini:2: %include is nested more than 10 files deep",
		   "a loop ends there too");
}

static void
files_that_cannot_be_read(void)
{
	FILE *file;

	is_str(read_file("nowhere.ini"), "nowhere.ini: could not read the file: No such file or directory",
		   "missing");
	is_str(read_file("/"), "/: could not read the file: Is a directory", "a directory");
	write_file("zero.ini", "a = 1\n");
	file = fopen("zero.ini", "w");
	if (file == NULL || fwrite("a\0b", 1, 3, file) != 3 || fclose(file) != 0)
		exit(1);
	is_str(read_file("zero.ini"),
		   "zero.ini: could not read the file: it holds a zero byte and is no text file", "binary");
}

static void
large_files_are_read_whole(void)
{
	enum
	{
		LINES = 5000
	};
	char *text = malloc(LINES * 16 + 1);
	size_t used = 0;

	if (text == NULL)
		exit(1);
	for (int i = 0; i < LINES - 1; i++)
		used += (size_t) snprintf(text + used, 16, "; %d\n", i);
	snprintf(text + used, 16, "last = 1");
	is_str(read_text(text), "", "no error");
	is_str(events, "a.ini:5000:.last=1|", "the last line has the right number");
	free(text);
}

/* --- connection strings --- */

/* "key=value|..." of a connection string, closed by "!error" if there is one. */
static const char *
cut(const char *string)
{
	static char result[1024];
	char *copy = strdup(string);
	char *cursor = copy;
	ConnectionParam param;
	const char *error = "";
	int got;

	result[0] = '\0';
	while ((got = connection_string_next(&cursor, &param, &error)) > 0)
		snprintf(result + strlen(result), sizeof(result) - strlen(result), "%s=%s|", param.key, param.value);
	if (got < 0)
		snprintf(result + strlen(result), sizeof(result) - strlen(result), "!%s", error);
	free(copy);
	return result;
}

static void
connection_strings(void)
{
	is_str(cut(""), "", "an empty string is fine");
	is_str(cut("   "), "", "blanks only too");
	is_str(cut("host=h port=1"), "host=h|port=1|", "bare values");
	is_str(cut("  host=h\tport=1  "), "host=h|port=1|", "blanks anywhere between");
	is_str(cut("host = h port= 1"), "host=h|port=1|", "blanks around the equals sign");
	is_str(cut("password='it''s a '' secret' port=1"), "password=it's a ' secret|port=1|",
		   "quoted, with quotes");
	is_str(cut("q='select 1 = 1'"), "q=select 1 = 1|", "an equals sign in quotes");
	is_str(cut("p=a=b"), "p=a=b|", "an equals sign in a bare value");
	is_str(cut("p=it's"), "p=it's|", "a quote inside a bare value is data");
	is_str(cut("host="), "!a value is empty", "an empty value at the end");
	is_str(cut("host= port=1"), "!a value is empty", "an empty value before another key");
	is_str(cut("p=''"), "!a value is empty", "a quoted empty value");
	is_str(cut("p='open"), "!a quoted value has no closing quote", "an open quote");
	is_str(cut("a=1 p='x'y"), "a=1|!a blank is missing behind a quoted value",
		   "something glued to a quoted value");
	is_str(cut("host"), "!expected key=value", "a key alone");
	is_str(cut("=1"), "!expected key=value", "a value alone");
}

int
main(void)
{
	enter_test_dir();
	sections_and_values_are_reported_in_order();
	comments_only_start_a_line();
	keys_may_be_quoted();
	line_ends_do_not_matter();
	a_value_before_a_section_has_no_section();
	syntax_errors_name_the_line_and_reading_goes_on();
	includes_share_the_section();
	include_depth_is_bounded();
	files_that_cannot_be_read();
	large_files_are_read_whole();
	connection_strings();
	return done_testing();
}
