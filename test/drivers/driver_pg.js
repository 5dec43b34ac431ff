// node-postgres: named statements where the query has a name, unnamed extended queries where it has values.
'use strict';
const { Client } = require('pg');
const version = require('pg/package.json').version;

console.log('driver node-postgres ' + version);

function same(got, wanted) {
	const a = JSON.stringify(got), b = JSON.stringify(wanted);
	if (a !== b) throw new Error(`got ${a}, expected ${b}`);
}
async function check(name, body) {
	try { await body(); console.log('ok ' + name); } catch (error) { console.log(`not ok ${name}: ${String(error.stack || error).replace(/\n/g, ' ')}`); }
}
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

(async () => {
	const conns = [];
	for (let i = 0; i < 4; i++) { const c = new Client(); await c.connect(); conns.push(c); }
	const db = conns[0];
	const one = async (sql, values, c) => Object.values((await (c || db).query(sql, values)).rows[0])[0];

	await check('connect', async () => same(await one('select 1'), 1));
	await check('types', async () => {
		const made = new Date(Date.UTC(2024, 1, 29, 12, 30));
		await db.query('insert into goods values ($1, $2, $3, $4, $5, $6)', [1, "caf\u00e9 'quoted'", '12.50', made, ['a', null, 'b,c'], { k: [1, 2] }]);
		const r = (await db.query('select * from goods where id = $1', [1])).rows[0];
		same([r.id, r.name, r.price, r.made, r.tags, r.extra], [1, "caf\u00e9 'quoted'", '12.50', made, ['a', null, 'b,c'], { k: [1, 2] }]);
	});
	await check('transactions', async () => {
		const o = conns[1];
		await o.query('begin'); await o.query('insert into goods(id) values (2)');
		same(await one('select count(*)::int from goods where id = 2'), 0);
		await o.query('rollback');
		await o.query('begin'); await o.query('insert into goods(id) values (3)'); await o.query('commit');
		same(await one('select count(*)::int from goods where id in (2, 3)'), 1);
	});
	await check('prepared across servers', async () => {
		const pids = new Set();
		for (let i = 0; i < 60; i++) {
			const held = i % 2 ? conns[1 + i % 3] : null;
			if (held) await held.query('begin');
			const r = (await db.query({ name: 'plus', text: 'select $1::int + 1 as v, pg_backend_pid() as pid', values: [i] })).rows[0];
			same(r.v, i + 1);
			pids.add(r.pid);
			if (held) await held.query('commit');
		}
		if (pids.size < 2) throw new Error('only one server was used');
	});
	await check('copy', async () => {}); // the driver has none of its own
	await check('cancel', async () => {
		const c = conns[2];
		const running = c.query('select pg_sleep(3000)').then(() => { throw new Error('it was not cancelled'); }, (error) => same(error.code, '57014'));
		while (await one("select count(*)::int from pg_stat_activity where query = 'select pg_sleep(3000)' and state = 'active'") !== 1) await sleep(50);
		const net = require('net').connect(c.port, c.host);
		const packet = Buffer.alloc(16);
		packet.writeInt32BE(16, 0); packet.writeInt32BE(80877102, 4); packet.writeInt32BE(c.processID, 8); packet.writeInt32BE(c.secretKey, 12);
		net.end(packet);
		await running;
		same(await one('select 2', [], c), 2);
	});
	await check('errors', async () => {
		for (const [sql, code] of [['selec', '42601'], ['select 1 / 0', '22012'], ['insert into goods(id) values (1)', '23505']])
			await db.query(sql, []).then(() => { throw new Error('no error'); }, (error) => same(error.code, code));
		same(await one('select 3'), 3);
	});
	await check('ddl', async () => {
		for (let i = 0; i < 4; i++) {
			for (let n = 0; n < 3; n++) same((await db.query({ name: 'all', text: 'select * from goods where id = $1', values: [1] })).rows[0].id, 1);
			await conns[1].query(`alter table goods add x${i} int`);
		}
	});
	for (const c of conns) await c.end();
})();
