\echo Use "CREATE EXTENSION pgweir" to load this file. \quit

-- == index advisor ==
-- == end of index advisor ==
