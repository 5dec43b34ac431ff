/*
 * results.c: the advisor's documents in files.
 */
#include "postgres.h"

#include "advisor/results.h"

#include <sys/stat.h>
#include <unistd.h>

#include "access/htup_details.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/syscache.h"

#define FILE_PREFIX "pgweir_"
/* Larger than this no document of ours gets. */
#define MAX_BYTES (64 * 1024 * 1024)

PG_FUNCTION_INFO_V1(pgweir_advisor_document);
PG_FUNCTION_INFO_V1(pgweir_set_advisor_document);

static void
make_path(char *path, size_t size, const char *name, const char *suffix)
{
	snprintf(path, size, "%s/" FILE_PREFIX "%s.%u.json%s", PGSTAT_STAT_PERMANENT_DIRECTORY, name, MyDatabaseId, suffix);
}

char *
pgweir_results_read(const char *name)
{
	char		path[MAXPGPATH];
	struct stat st;
	FILE	   *file;
	char	   *text = NULL;

	make_path(path, sizeof(path), name, "");
	file = AllocateFile(path, PG_BINARY_R);
	if (file == NULL)
		return NULL;
	if (fstat(fileno(file), &st) == 0 && st.st_size > 0 && st.st_size <= MAX_BYTES)
	{
		text = palloc(st.st_size + 1);
		text[st.st_size] = '\0';
		if (fread(text, 1, st.st_size, file) != (size_t) st.st_size)
		{
			pfree(text);
			text = NULL;
		}
	}
	FreeFile(file);
	return text;
}

/* Removes what is left of databases that were dropped. */
static void
remove_orphans(void)
{
	DIR		   *dir = AllocateDir(PGSTAT_STAT_PERMANENT_DIRECTORY);
	struct dirent *entry;

	while ((entry = ReadDirExtended(dir, PGSTAT_STAT_PERMANENT_DIRECTORY, LOG)) != NULL)
	{
		char		path[MAXPGPATH * 2];
		char		word[32];
		unsigned int dbid;

		if (sscanf(entry->d_name, FILE_PREFIX "%31[a-z].%u.json", word, &dbid) != 2 ||
			SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(dbid)))
			continue;
		snprintf(path, sizeof(path), "%s/%s", PGSTAT_STAT_PERMANENT_DIRECTORY, entry->d_name);
		(void) unlink(path);
	}
	FreeDir(dir);
}

void
pgweir_results_write(const char *name, const char *text, int len)
{
	char		path[MAXPGPATH];
	char		temporary[MAXPGPATH];
	char		suffix[32];
	FILE	   *file;

	if (len > MAX_BYTES)
		elog(ERROR, "advisor's document \"%s\" is too large: %d bytes", name, len);
	remove_orphans();
	snprintf(suffix, sizeof(suffix), ".%d.tmp", MyProcPid);
	make_path(path, sizeof(path), name, "");
	make_path(temporary, sizeof(temporary), name, suffix);
	file = AllocateFile(temporary, PG_BINARY_W);
	if (file == NULL)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not create file \"%s\": %m", temporary)));
	if (fwrite(text, 1, len, file) != (size_t) len || FreeFile(file) != 0)
	{
		int			saved = errno;

		(void) unlink(temporary);
		errno = saved;
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not write file \"%s\": %m", temporary)));
	}
	(void) durable_rename(temporary, path, ERROR);
}

/* A document's name: only letters, since it becomes part of a file's. */
static char *
checked_name(text *argument)
{
	char	   *name = text_to_cstring(argument);

	if (name[0] == '\0' || name[strspn(name, "abcdefghijklmnopqrstuvwxyz")] != '\0' || strlen(name) > 31)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("no such document: \"%s\"", name)));
	return name;
}

/* advisor_document(name text) returns jsonb: what is kept under the name in this database; null when nothing is. */
Datum
pgweir_advisor_document(PG_FUNCTION_ARGS)
{
	char	   *json = pgweir_results_read(checked_name(PG_GETARG_TEXT_PP(0)));

	if (json == NULL)
		PG_RETURN_NULL();
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json));
}

/* set_advisor_document(name text, document jsonb): keeps it. */
Datum
pgweir_set_advisor_document(PG_FUNCTION_ARGS)
{
	char	   *name = checked_name(PG_GETARG_TEXT_PP(0));
	Jsonb	   *document = PG_GETARG_JSONB_P(1);
	char	   *json = JsonbToCString(NULL, &document->root, VARSIZE(document));

	pgweir_results_write(name, json, strlen(json));
	PG_RETURN_VOID();
}
