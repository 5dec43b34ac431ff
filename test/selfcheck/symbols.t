# symbols.t: what pgweir.so shows to the server it is loaded into, and how both halves were linked.
use strict;
use warnings;
use Test::More;

chdir($ENV{PGWEIR_TOP} // '.') or die $!;

my @symbols = map { (split)[-1] } `nm -D --defined-only extension/pgweir.so`;

# Names the server looks up, and those that start with ours.
sub is_ours { return $_[0] =~ /^(?:pgweir_|pg_finfo_pgweir_|_?PG_init$|_PG_fini$|Pg_magic_func$|_init$|_fini$)/; }

ok(!is_ours('report_pools'), 'the check sees a name without our prefix');
cmp_ok(scalar @symbols, '>', 5, 'symbols found');
is_deeply([grep { !is_ours($_) } @symbols], [], 'every exported symbol of pgweir.so carries the prefix');
ok((grep { $_ eq '_PG_init' } @symbols), 'it has _PG_init');

my %sql = map { $_ => 1 } map { /AS\s+'MODULE_PATHNAME'\s*,\s*'(\w+)'/gi } do { local (@ARGV, $/) = glob 'sql/pgweir--*.sql'; <> };
my %exported = map { $_ => 1 } @symbols;
cmp_ok(scalar keys %sql, '>', 0, 'the script names C functions');
is_deeply([grep { !$exported{$_} } sort keys %sql], [], 'each C function of the script is there');

my $elf = `readelf -hldW sidecar/pgweir`;
like($elf, qr/Type:\s+DYN/, 'the daemon is position-independent');
like($elf, qr/GNU_RELRO/, 'its relocations are read-only');
like($elf, qr/BIND_NOW|FLAGS_1.*NOW/, 'and bound at the start');
like($elf, qr/GNU_STACK\s+\S+\s+\S+\s+\S+\s+\S+\s+\S+\s+RW\s/, 'its stack is not executable');
done_testing;
