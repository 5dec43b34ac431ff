// JDBC (pgjdbc): server-side prepared statements from the fifth execution on (prepareThreshold).
import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.sql.Array;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.OffsetDateTime;
import java.util.HashSet;
import java.util.Objects;
import java.util.Set;
import org.postgresql.PGConnection;

public class DriverJdbc
{
	interface Body { void run() throws Exception; }

	static Connection[] conns = new Connection[4];

	static void check(String name, Body body)
	{
		try
		{
			body.run();
			System.out.println("ok " + name);
		}
		catch (Throwable error)
		{
			System.out.println("not ok " + name + ": " + String.valueOf(error).replace('\n', ' '));
		}
	}

	static void same(Object got, Object wanted)
	{
		if (!Objects.equals(got, wanted))
			throw new IllegalStateException("got " + got + ", expected " + wanted);
	}

	static long one(Connection c, String sql) throws SQLException
	{
		try (Statement s = c.createStatement(); ResultSet r = s.executeQuery(sql))
		{
			r.next();
			return r.getLong(1);
		}
	}

	static void run(Connection c, String sql) throws SQLException
	{
		try (Statement s = c.createStatement())
		{
			s.execute(sql);
		}
	}

	static void types() throws Exception
	{
		OffsetDateTime made = OffsetDateTime.parse("2024-02-29T12:30:00Z");
		Array tags = conns[0].createArrayOf("text", new String[] {"a", null, "b,c"});

		try (PreparedStatement s = conns[0].prepareStatement("insert into goods values (?, ?, ?, ?, ?, ?::jsonb)"))
		{
			s.setInt(1, 1);
			s.setString(2, "caf\u00e9 'quoted'");
			s.setBigDecimal(3, new BigDecimal("12.50"));
			s.setObject(4, made);
			s.setArray(5, tags);
			s.setString(6, "{\"k\": [1, 2]}");
			s.executeUpdate();
		}
		try (PreparedStatement s = conns[0].prepareStatement("select * from goods where id = ?"))
		{
			for (int i = 0; i < 8; i++)
			{
				s.setInt(1, 1);
				try (ResultSet r = s.executeQuery())
				{
					r.next();
					same(r.getString("name"), "caf\u00e9 'quoted'");
					same(r.getBigDecimal("price"), new BigDecimal("12.50"));
					same(r.getObject("made", OffsetDateTime.class).toInstant(), made.toInstant());
					same(((String[]) r.getArray("tags").getArray())[2], "b,c");
				}
			}
		}
	}

	static void transactions() throws Exception
	{
		Connection o = conns[1];

		o.setAutoCommit(false);
		run(o, "insert into goods(id) values (2)");
		same(one(conns[0], "select count(*) from goods where id = 2"), 0L);
		o.rollback();
		run(o, "insert into goods(id) values (3)");
		o.commit();
		o.setAutoCommit(true);
		same(one(conns[0], "select count(*) from goods where id in (2, 3)"), 1L);
	}

	static void prepared() throws Exception
	{
		Set<Integer> pids = new HashSet<>();

		try (PreparedStatement s = conns[0].prepareStatement("select ?::int + 1, pg_backend_pid()"))
		{
			for (int i = 0; i < 60; i++)
			{
				Connection held = i % 2 == 1 ? conns[1 + i % 3] : null;

				if (held != null)
				{
					held.setAutoCommit(false);
					one(held, "select 1");
				}
				s.setInt(1, i);
				try (ResultSet r = s.executeQuery())
				{
					r.next();
					same(r.getInt(1), i + 1);
					pids.add(r.getInt(2));
				}
				if (held != null)
				{
					held.commit();
					held.setAutoCommit(true);
				}
			}
		}
		if (pids.size() < 2)
			throw new IllegalStateException("only one server was used");
	}

	static void copy() throws Exception
	{
		StringBuilder in = new StringBuilder();
		StringWriter out = new StringWriter();
		PGConnection pg = conns[0].unwrap(PGConnection.class);

		for (int i = 1000; i < 3000; i++)
			in.append(i).append("\tn").append(i).append('\n');
		same(pg.getCopyAPI().copyIn("copy goods(id, name) from stdin", new StringReader(in.toString())), 2000L);
		pg.getCopyAPI().copyOut("copy (select id from goods where id >= 1000) to stdout", out);
		same(out.toString().split("\n").length, 2000);
	}

	static void cancel() throws Exception
	{
		try (Statement s = conns[2].createStatement())
		{
			Thread other = new Thread(() -> {
				try
				{
					while (one(conns[0], "select count(*) from pg_stat_activity where query = 'select pg_sleep(3000)' and state = 'active'") != 1)
						Thread.sleep(50);
					s.cancel();
				}
				catch (Exception error)
				{
					throw new IllegalStateException(error);
				}
			});

			other.start();
			try
			{
				s.execute("select pg_sleep(3000)");
				throw new IllegalStateException("it was not cancelled");
			}
			catch (SQLException error)
			{
				same(error.getSQLState(), "57014");
			}
			other.join();
		}
		same(one(conns[2], "select 2"), 2L);
	}

	static void errors() throws Exception
	{
		String[][] cases = {{"selec", "42601"}, {"select 1 / 0", "22012"}, {"insert into goods(id) values (1)", "23505"}};

		for (String[] one : cases)
		{
			try
			{
				run(conns[0], one[0]);
				throw new IllegalStateException("no error");
			}
			catch (SQLException error)
			{
				same(error.getSQLState(), one[1]);
			}
		}
		same(one(conns[0], "select 3"), 3L);
	}

	// The driver asks for the columns once per statement, so it must hear of a change; it then prepares anew by itself.
	static void ddl() throws Exception
	{
		int told = 0;

		try (PreparedStatement s = conns[0].prepareStatement("select * from goods where id = ?"))
		{
			for (int i = 0; i < 3; i++)
			{
				for (int n = 0; n < 8; n++)
				{
					s.setInt(1, 1);
					try (ResultSet r = s.executeQuery())
					{
						r.next();
						same(r.getInt(1), 1);
						same(r.getMetaData().getColumnCount(), 6 + i);
					}
					catch (SQLException error)
					{
						same(error.getSQLState(), "0A000");
						told++;
					}
				}
				run(conns[1], "alter table goods add x" + i + " int");
			}
		}
		if (told > 2)
			throw new IllegalStateException("told " + told + " times of two changes");
	}

	public static void main(String[] args) throws Exception
	{
		String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE") + "?sslmode=disable&user="
			+ System.getenv("PGUSER");

		for (int i = 0; i < conns.length; i++)
			conns[i] = DriverManager.getConnection(url);
		System.out.println("driver JDBC " + conns[0].getMetaData().getDriverVersion());
		check("connect", () -> same(one(conns[0], "select 1"), 1L));
		check("types", DriverJdbc::types);
		check("transactions", DriverJdbc::transactions);
		check("prepared across servers", DriverJdbc::prepared);
		check("copy", DriverJdbc::copy);
		check("cancel", DriverJdbc::cancel);
		check("errors", DriverJdbc::errors);
		check("ddl", DriverJdbc::ddl);
		for (Connection c : conns)
			c.close();
	}
}
