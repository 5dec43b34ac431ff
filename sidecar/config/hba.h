/*
 * hba.h: reading auth_hba_file and auth_ident_file.
 *
 *   local      DATABASE  USER           METHOD [OPTIONS]
 *   host       DATABASE  USER  ADDRESS  METHOD [OPTIONS]       also hostssl, hostnossl
 *   include FILE, include_if_exists FILE, include_dir DIRECTORY
 *
 * DATABASE: names, all, sameuser, replication, /pattern, @file; USER: names, all, /pattern, @file; several separated by commas.
 * Words in quotes are names; a pattern may be quoted.  ADDRESS: all, samehost, samenet, address/bits, or address and mask.
 * METHOD: trust, reject, password, md5, scram-sha-256, peer, cert.  OPTIONS: map=NAME, clientcert=verify-ca or verify-full.
 * An ident line is MAP SYSTEM-USER USER, where SYSTEM-USER may be a /pattern, and USER `all` or hold \1.
 *
 * Patterns are POSIX extended regular expressions.  # begins a comment; a backslash at a line's end continues it.  What
 * samehost and samenet mean is looked up when the file is read.  Groups (+name, samerole) and host names are refused: who
 * is in a group only the server knows, and a name service must not decide who gets in.
 */
#ifndef PGWEIR_CONFIG_HBA_H
#define PGWEIR_CONFIG_HBA_H

#include "config/problems.h"
#include "session/hba.h"

/* Rules with what they are made of; counted. */
typedef struct HbaFile HbaFile;

/*
 * Read both files, of which either may be NULL or "".  Mistakes go to problems with file and line; NULL if there are any, or
 * no memory.
 */
extern HbaFile *hba_file_read(const char *hba_path, const char *ident_path, ConfigProblems *problems);
extern const HbaRules *hba_file_rules(const HbaFile *file); /* NULL of NULL */
extern HbaFile *hba_file_ref(HbaFile *file);
extern void hba_file_unref(HbaFile *file);

#endif
