/*
 * class_text.c: see class_text.h.  Without memory there are no texts, and nothing else suffers.
 */
#include "session/class_text.h"

#include <stdlib.h>

#include "wire/sqlscan.h"

void
class_texts_free(ClassTexts *texts)
{
	for (size_t i = 0; texts->_texts != NULL && i < CLASS_TEXTS; i++)
		free(texts->_texts[i]);
	free(texts->_texts);
	free(texts->_classes);
	*texts = (ClassTexts){0};
}

void
class_texts_add(ClassTexts *texts, uint64_t fingerprint, Slice sql)
{
	size_t place = class_texts_place(fingerprint);
	char masked[CLASS_TEXT_MAX];

	if (texts->_classes == NULL)
		texts->_classes = calloc(CLASS_TEXTS, sizeof(*texts->_classes));
	if (texts->_texts == NULL)
		texts->_texts = calloc(CLASS_TEXTS, sizeof(*texts->_texts));
	if (texts->_classes == NULL || texts->_texts == NULL)
		return;
	(void) sql_mask(sql, masked, sizeof(masked));
	free(texts->_texts[place]);
	texts->_texts[place] = strdup(masked);
	texts->_classes[place] = fingerprint;
}

const char *
class_texts_find(const ClassTexts *texts, uint64_t fingerprint)
{
	size_t place = class_texts_place(fingerprint);

	return texts->_classes != NULL && texts->_texts != NULL && texts->_classes[place] == fingerprint
			   ? texts->_texts[place]
			   : NULL;
}
