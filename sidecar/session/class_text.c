/*
 * class_text.c: see class_text.h.  Without memory there are no texts, and nothing else suffers.
 */
#include "session/class_text.h"

#include <stdlib.h>


void
class_texts_free(ClassTexts *texts)
{
	for (size_t i = 0; texts->_texts != NULL && i < CLASS_TEXTS; i++)
		free(texts->_texts[i]);
	free(texts->_texts);
	free(texts->_classes);
	free(texts->_shapes);
	*texts = (ClassTexts){0};
}

uint64_t
class_texts_class(ClassTexts *texts, uint64_t seed, Slice sql)
{
	struct ClassShape *place;
	uint64_t shape;

	if (texts->_shapes == NULL)
		texts->_shapes = calloc(CLASS_SHAPES, sizeof(*texts->_shapes));
	if (texts->_shapes == NULL || sql.len > CLASS_SHAPE_LONGEST)
		return sql_fingerprint(sql);
	shape = sql_shape(sql, seed);
	place = &texts->_shapes[shape & (CLASS_SHAPES - 1)];
	/* no class is 0 */
	if (place->shape != shape || place->fingerprint == 0)
		*place = (struct ClassShape){shape, sql_fingerprint(sql)};
	return place->fingerprint;
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
