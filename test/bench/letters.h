/*
 * letters.h: the messages that come on a connection, of which only the letters count: what the loads of this folder read answers by.
 */
#ifndef BENCH_LETTERS_H
#define BENCH_LETTERS_H

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

/* Zeroed before the first byte. */
typedef struct Letters
{
	uint8_t header[5];
	uint8_t have;  /* bytes of the header */
	uint32_t left; /* bytes of the payload */
} Letters;

/* The letter of the next message that begins before `end`, once its header is whole; 0: all bytes are used up. */
static inline char
next_letter(Letters *letters, const uint8_t **at, const uint8_t *end)
{
	while (*at < end)
	{
		uint32_t n = (uint32_t) (end - *at);

		if (letters->left > 0)
		{
			n = letters->left < n ? letters->left : n;
			letters->left -= n;
			*at += n;
			continue;
		}
		letters->header[letters->have++] = *(*at)++;
		if (letters->have < sizeof(letters->header))
			continue;
		memcpy(&n, letters->header + 1, sizeof(n));
		letters->left = ntohl(n) - (uint32_t) sizeof(n);
		letters->have = 0;
		return (char) letters->header[0];
	}
	return 0;
}

#endif
