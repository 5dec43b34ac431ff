/*
 * results.h: what is kept of the advisor's runs from one to the next.
 *
 * Two JSON documents for each database, in files beside the server's statistics: the last advice, and what became of
 * earlier suggestions.  Files and not tables, so that a standby and a read-only transaction can keep results, too, and
 * reading advice takes no transaction id.  A file is replaced as a whole; a lost or broken one only means that advice is
 * computed anew.  What stands in them is made by the functions of the script, which also see to it that one at a time
 * writes.
 */
#ifndef PGWEIR_ADVISOR_RESULTS_H
#define PGWEIR_ADVISOR_RESULTS_H

/* A document's text, or NULL when there is none.  name is a word of letters. */
extern char *pgweir_results_read(const char *name);

/* Replaces it.  Errors when the file cannot be written. */
extern void pgweir_results_write(const char *name, const char *text, int len);

#endif
