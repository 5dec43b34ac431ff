/*
 * rows.c: rows of many columns as tuples.
 *
 * The server's own way looks at each column twice and asks for its kind anew; with ninety columns and thousands of rows that takes longer than all
 * else in a view.  Here the kinds are known from the row before, and the columns, of which almost all have eight bytes, are written in one pass.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "stores/shared.h"
#include "views/rows.h"

struct PgweirForm
{
	int			n;
	uint8		hoff;			/* with a bitmap of nulls, which is always there */
	char	   *buffer;			/* a HeapTupleHeader and its data */
	Size		room;
	struct
	{
		int16		len;		/* -1: varlena */
		bool		byval;
		uint8		align;
	}			column[PGWEIR_MAX_COLUMNS];
};

ReturnSetInfo *
pgweir_rows_start(FunctionCallInfo fcinfo)
{
	pgweir_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	return (ReturnSetInfo *) fcinfo->resultinfo;
}

static uint8
alignment(char code)
{
	switch (code)
	{
		case TYPALIGN_SHORT:
			return ALIGNOF_SHORT;
		case TYPALIGN_INT:
			return ALIGNOF_INT;
		case TYPALIGN_DOUBLE:
			return ALIGNOF_DOUBLE;
	}
	return 1;
}

PgweirForm *
pgweir_form_create(TupleDesc desc)
{
	PgweirForm *form = palloc0(sizeof(PgweirForm));

	form->n = desc->natts;
	form->hoff = MAXALIGN(SizeofHeapTupleHeader + BITMAPLEN(desc->natts));
	for (int i = 0; i < form->n; i++)
	{
		const FormData_pg_attribute *attribute = TupleDescAttr(desc, i);

		form->column[i].len = attribute->attlen;
		form->column[i].byval = attribute->attbyval;
		form->column[i].align = alignment(attribute->attalign);
	}
	return form;
}

/* Values are the row's own making: a varlena has its long header and is not out of line. */
static inline Size
value_size(const PgweirForm *form, const PgweirRow *row, int i)
{
	return form->column[i].len >= 0 ? (Size) form->column[i].len : VARSIZE(DatumGetPointer(row->value[i]));
}

static void
make_room(PgweirForm *form, const PgweirRow *row)
{
	Size		size = form->hoff;

	for (int i = 0; i < form->n; i++)
		size += MAXIMUM_ALIGNOF + (row->null[i] ? 0 : value_size(form, row, i));
	if (size <= form->room)
		return;
	if (form->buffer != NULL)
		pfree(form->buffer);
	form->room = size * 2;
	form->buffer = MemoryContextAllocHuge(GetMemoryChunkContext(form), form->room);
}

static inline char *
align_zeroed(char *at, const char *start, uint8 align)
{
	while ((at - start) & (align - 1))
		*at++ = '\0';
	return at;
}

static char *
put_value(const PgweirForm *form, const PgweirRow *row, int i, char *at)
{
	Size		size = value_size(form, row, i);

	if (form->column[i].byval)
		store_att_byval(at, row->value[i], form->column[i].len);
	else
		memcpy(at, DatumGetPointer(row->value[i]), size);
	return at + size;
}

void
pgweir_form_emit(PgweirForm *form, PgweirRow *row, ReturnSetInfo *result)
{
	HeapTupleHeader header;
	HeapTupleData tuple;
	char	   *start;
	char	   *at;

	Assert(row->n == form->n);
	make_room(form, row);
	header = (HeapTupleHeader) form->buffer;
	memset(header, 0, form->hoff);
	start = at = form->buffer + form->hoff;
	for (int i = 0; i < form->n; i++)
	{
		if (row->null[i])
			continue;
		header->t_bits[i >> 3] |= 1 << (i & 7);
		at = align_zeroed(at, start, form->column[i].align);
		if (form->column[i].byval && form->column[i].len == sizeof(Datum))
		{
			*(Datum *) at = row->value[i];
			at += sizeof(Datum);
		}
		else
			at = put_value(form, row, i, at);
	}
	header->t_infomask = HEAP_HASNULL | HEAP_HASVARWIDTH;
	HeapTupleHeaderSetNatts(header, form->n);
	header->t_hoff = form->hoff;
	memset(&tuple, 0, sizeof(tuple));
	tuple.t_len = at - form->buffer;
	tuple.t_data = header;
	tuplestore_puttuple(result->setResult, &tuple);
	row->n = 0;
}
