/*
 * payload_json.h: inside of payload.c and its parts: building JSON, where lack of memory is asked for once, at the end.
 */
#ifndef PGWEIR_ADMIN_PAYLOAD_JSON_H
#define PGWEIR_ADMIN_PAYLOAD_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>


/* A string as JSON; what is not UTF-8 (a name in another encoding) gets its foreign bytes replaced. */
static inline json_t *
payload_text(const char *text)
{
	json_t *value = json_string(text != NULL ? text : "");
	char copy[128];
	size_t i = 0;

	if (value != NULL || text == NULL)
		return value;
	for (; text[i] != '\0' && i < sizeof(copy) - 1; i++)
		copy[i] = (char) ((unsigned char) text[i] < 0x80 ? text[i] : '?');
	copy[i] = '\0';
	return json_string(copy);
}

/* Set a key; the value is stolen, also on failure.  *ok becomes false when memory is short. */
static inline void
payload_set(json_t *object, const char *key, json_t *value, bool *ok)
{
	if (json_object_set_new_nocheck(object, key, value) != 0)
		*ok = false;
}

static inline void
payload_number(json_t *object, const char *key, uint64_t number, bool *ok)
{
	payload_set(object, key, json_integer((json_int_t) number), ok);
}

/* Append; the value is stolen. */
static inline void
payload_append(json_t *array, json_t *value, bool *ok)
{
	if (json_array_append_new(array, value) != 0)
		*ok = false;
}

#endif
