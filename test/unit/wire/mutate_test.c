/*
 * mutate_test.c: valid inputs with random damage, through the same targets the fuzzer uses; they abort on a
 * broken property.
 *
 * The seed is printed; WIRE_TEST_SEED=n repeats a run, WIRE_TEST_ROUNDS=n makes it longer.
 */
#include "wire_test.h"
#include "../../fuzz/targets.h"

typedef void (*Target)(const uint8_t *data, size_t n);

typedef struct Seed
{
	const char *bytes;
	size_t n;
} Seed;

#define SEED(s)                                                                                              \
	{                                                                                                        \
		s, sizeof(s) - 1                                                                                     \
	}

static const Seed startup_seeds[] = {
	SEED("\0\0\0\x27\0\x03\0\0user\0app\0database\0shop\0\0\0\0\0\0"),
	SEED("\0\0\0\x23\0\x03\0\0user\0a\0options\0-c a=b\\ c\0\0"),
	SEED("\0\0\0\x08\x04\xd2\x16\x2f"),
	SEED("\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x01wxyz"),
	SEED("-c a=b --c-d=e\\ f -cg=h"),
};

static const Seed frontend_seeds[] = {
	SEED("select 1\0"),
	SEED("s1\0select $1, $2\0\0\x02\0\0\0\x17\0\0\0\x19"),
	SEED("portal\0s1\0\0\x01\0\0\0\x02\0\0\0\x03"
		 "abc\xff\xff\xff\xff\0\0"),
	SEED("Ss1\0"),
	SEED("P\0"),
	SEED("portal\0\0\0\0\x0a"),
	SEED("SCRAM-SHA-256\0\0\0\0\x09n,,n=,r=x"),
	SEED("SCRAM-SHA-256\0\xff\xff\xff\xff"),
};

static const Seed backend_seeds[] = {
	SEED("\0\0\0\0"),
	SEED("\0\0\0\x05salt"),
	SEED("\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"),
	SEED("\0\0\x10\x01wxyz"),
	SEED("client_encoding\0UTF8\0"),
	SEED("I"),
	SEED("SELECT 1\0"),
	SEED("\0\0\x10\x01"
		 "channel\0payload\0"),
	SEED("SERROR\0VERROR\0C42P01\0Mrelation \"x\" does not "
		 "exist\0P15\0Fparse_relation.c\0L1381\0RparserOpenTable\0\0"),
	SEED("\0\x03\0\x02\0\0\0\x01_pq_.x\0"),
};

static const Seed sasl_seeds[] = {
	SEED("n,,n=,r=rOprNGfwEbeRWgbNEkqO"),
	SEED("p=tls-server-end-point,,n=,r=rOprNGfwEbeRWgbNEkqO"),
	SEED("c=biws,r=nonce,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
	SEED("r=rnonce,s=AAAA,i=1"),
	SEED("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="),
	SEED("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
		 "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="),
};

static const Seed sqlscan_seeds[] = {
	SEED("/* a='b', k='250ms' */ SELECT $1::int, 'it''s', E'\\'', $$x$$, $t$ $$ $t$ FROM \"T\" WHERE a IN "
		 "(1, -2, 3) -- x"),
	SEED("INSERT INTO t VALUES (1, 'a'), (2, NULL) ON CONFLICT DO NOTHING; SELECT 1 /* /* nested */ k:1s, "
		 "x='%20' */ ;"),
	SEED("ROLLBACK TO SAVEPOINT s"),
	SEED("123.456min"),
};

static uint64_t state;

static uint64_t
next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * UINT64_C(0x2545f4914f6cdd1d);
}

static size_t
below(size_t n)
{
	return n > 0 ? (size_t) (next_random() % n) : 0;
}

/* Damage bytes in place; the new length. */
static size_t
damage(uint8_t *bytes, size_t n, size_t room)
{
	static const uint8_t odd[] = {0,   1,   0x7f, 0x80, 0xff, '\'', '"', '$',
								  '*', '/', '-',  '\\', ',',  '=',  ' ', '('};
	size_t at = below(n);

	switch (below(6))
	{
		case 0: return at; /* cut */
		case 1:
			if (n > 0)
				bytes[at] ^= (uint8_t) (1u << below(8));
			return n;
		case 2:
			if (n > 0)
				bytes[at] = odd[below(sizeof(odd))];
			return n;
		case 3: /* insert */
			if (n == room)
				return n;
			memmove(bytes + at + 1, bytes + at, n - at);
			bytes[at] = odd[below(sizeof(odd))];
			return n + 1;
		case 4: /* remove */
			if (n == 0)
				return n;
			memmove(bytes + at, bytes + at + 1, n - at - 1);
			return n - 1;
		default: /* repeat a part */
			if (n - at > room - n)
				return n;
			memcpy(bytes + n, bytes + at, n - at);
			return n + (n - at);
	}
}

static void
mutate(const char *what, Target target, const Seed *seeds, size_t count, long rounds)
{
	for (size_t s = 0; s < count; s++)
		for (long i = 0; i < rounds; i++)
		{
			uint8_t bytes[1024];
			size_t n = seeds[s].n;
			uint8_t *copy;

			memcpy(bytes, seeds[s].bytes, n);
			for (size_t k = below(4) + (i > 0); k > 0; k--)
				n = damage(bytes, n, sizeof(bytes));
			copy = exact_copy(bytes, n);
			target(copy, n);
			free(copy);
		}
	ok(true, what); /* reached: nothing aborted */
}

#define MUTATE(kind)                                                                                         \
	mutate(#kind " survives", fuzz_##kind, kind##_seeds, sizeof(kind##_seeds) / sizeof(kind##_seeds[0]),     \
		   rounds)

int
main(void)
{
	const char *seed = getenv("WIRE_TEST_SEED");
	const char *rounds_text = getenv("WIRE_TEST_ROUNDS");
	long rounds = rounds_text != NULL ? atol(rounds_text) : 4000;

	state = seed != NULL ? strtoull(seed, NULL, 10) : 20240917;
	printf("# WIRE_TEST_SEED=%llu\n", (unsigned long long) state);
	MUTATE(startup);
	MUTATE(frontend);
	MUTATE(backend);
	MUTATE(sasl);
	MUTATE(sqlscan);
	return done_testing();
}
