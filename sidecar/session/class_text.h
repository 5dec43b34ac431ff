/*
 * class_text.h: what the statements of a class look like, for people: class to masked text, in a table of fixed size.
 *
 * Two classes that fall on one place of the table take it from each other whenever they are seen; what is not there has no text.
 */
#ifndef PGWEIR_SESSION_CLASS_TEXT_H
#define PGWEIR_SESSION_CLASS_TEXT_H

#include "base/slice.h"

#define CLASS_TEXTS 4096	/* a power of two */
#define CLASS_TEXT_MAX 200 /* bytes shown of a statement */

typedef struct ClassTexts
{
	uint64_t *_classes; /* owned; NULL before the first */
	char **_texts;		/* owned, and so is each */
} ClassTexts;

extern void class_texts_free(ClassTexts *texts);
extern void class_texts_add(ClassTexts *texts, uint64_t fingerprint, Slice sql);
/* NULL when it is not known. */
extern const char *class_texts_find(const ClassTexts *texts, uint64_t fingerprint);
static inline size_t
class_texts_place(uint64_t fingerprint)
{
	return (size_t) (fingerprint >> 20) & (CLASS_TEXTS - 1);
}
/* A statement of the class was seen. */
static inline void
class_texts_note(ClassTexts *texts, uint64_t fingerprint, Slice sql)
{
	if (texts->_classes == NULL || texts->_classes[class_texts_place(fingerprint)] != fingerprint)
		class_texts_add(texts, fingerprint, sql);
}

#endif
