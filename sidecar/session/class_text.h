/*
 * class_text.h: the classes of the statements that a worker sees, in tables of fixed size: from the shape of a text to its class, so that it is
 * worked out once; and from a class to a masked text, which shows people what its statements look like.
 *
 * Two that fall on one place of a table take it from each other whenever they are seen; what is not there is worked out, or has no text.
 */
#ifndef PGWEIR_SESSION_CLASS_TEXT_H
#define PGWEIR_SESSION_CLASS_TEXT_H

#include "base/slice.h"
#include "wire/sqlscan.h"

#define CLASS_TEXTS 4096	/* a power of two */
#define CLASS_TEXT_MAX 200 /* bytes shown of a statement */
#define CLASS_SHAPES 2048	/* a power of two */
#define CLASS_SHAPE_LONGEST 4096 /* longer texts are seldom the same twice */

typedef struct ClassTexts
{
	uint64_t *_classes; /* owned; NULL before the first */
	char **_texts;		/* owned, and so is each */
	struct ClassShape
	{
		uint64_t shape, fingerprint;
	} *_shapes; /* owned; NULL before the first */
} ClassTexts;

extern void class_texts_free(ClassTexts *texts);
/* The class of a statement. */
extern uint64_t class_texts_class(ClassTexts *texts, uint64_t seed, Slice sql);
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
