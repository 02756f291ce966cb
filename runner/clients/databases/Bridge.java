// The child of bridged.py for JDBC. Run from this source by `java -cp driver.jar Bridge.java`, so Java 11 is the oldest.

import java.io.*;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.sql.*;
import java.util.*;
import java.util.concurrent.LinkedBlockingQueue;

public class Bridge {
    static final LinkedBlockingQueue<String[]> words = new LinkedBlockingQueue<>();
    static PrintWriter out;
    static Connection inner;
    static volatile Statement running;

    public static void main(String[] args) throws Exception {
        out = new PrintWriter(new BufferedWriter(new OutputStreamWriter(new FileOutputStream(FileDescriptor.out), StandardCharsets.UTF_8), 1 << 16));
        System.setOut(System.err); // what a driver prints goes to the log, not between our lines
        Thread reader = new Thread(Bridge::read);
        reader.setDaemon(true);
        reader.start();
        while (true) {
            String[] line = words.take();
            try {
                obey(line);
            } catch (SQLException error) {
                say("err", error.getSQLState() == null ? "" : error.getSQLState(), text(error), hint(error));
            } catch (Throwable error) {
                say("err", "", error.getClass().getSimpleName() + ": " + text(error), "");
            }
            out.flush();
        }
    }

    /** The other thread: takes the lines, so that a cancel is heard while a statement runs. */
    static void read() {
        try (BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                String[] fields = fields(line);
                if (fields[0].equals("cancel")) cancel(); else words.put(fields);
            }
            cancel();
        } catch (Exception error) {
            System.err.println(error.getMessage());
        }
        Runtime.getRuntime().halt(0); // the parent is gone
    }

    static void cancel() {
        Statement statement = running;
        try {
            if (statement != null) statement.cancel();
        } catch (SQLException error) {
            System.err.println("cancel: " + text(error));
        }
    }

    static void obey(String[] line) throws Exception {
        switch (line[0]) {
            case "open": open(line); return;
            case "run": run(line); return;
            case "begin": inner.setAutoCommit(false); break;
            case "commit": inner.commit(); break;
            case "rollback": inner.rollback(); break;
            default: throw new IllegalArgumentException(line[0]);
        }
        say("ok", "-1");
    }

    static void open(String[] line) throws Exception {
        Map<String, String> given = new HashMap<>();
        Properties properties = new Properties();
        for (int i = 1; i + 1 < line.length; i += 2) {
            if (line[i].startsWith("p.")) properties.setProperty(line[i].substring(2), line[i + 1]); else given.put(line[i], line[i + 1]);
        }
        if (!given.get("driver").isEmpty()) Class.forName(given.get("driver"));
        DriverManager.setLoginTimeout(Integer.parseInt(given.get("seconds")));
        inner = DriverManager.getConnection(given.get("url"), properties);
        DatabaseMetaData about = inner.getMetaData();
        say("about", about.getDatabaseProductName() + " " + about.getDatabaseProductVersion() + " by JDBC", "qmark");
    }

    static void run(String[] line) throws Exception {
        boolean plain = line.length == 2;
        try (Statement statement = plain ? inner.createStatement() : inner.prepareStatement(line[1])) {
            running = statement;
            try {
                String url = inner.getMetaData().getURL();
                statement.setFetchSize(url != null && url.startsWith("jdbc:mysql:") ? Integer.MIN_VALUE : 1000);
            } catch (SQLException error) { // it reads all at once, then
            }
            boolean rows;
            if (plain) {
                rows = statement.execute(line[1]);
            } else {
                PreparedStatement prepared = (PreparedStatement) statement;
                for (int i = 2, at = 1; i + 2 < line.length; i += 3, at++) bind(prepared, at, line[i + 1], line[i + 2]);
                rows = prepared.execute();
            }
            int changed = rows ? -1 : statement.getUpdateCount();
            while (true) {
                if (rows) {
                    try (ResultSet found = statement.getResultSet()) {
                        tell(found);
                    }
                } else if (statement.getUpdateCount() == -1) {
                    break;
                }
                try {
                    rows = statement.getMoreResults();
                } catch (SQLException error) { // it knows one result only
                    break;
                }
            }
            say("ok", Integer.toString(changed));
        } finally {
            running = null;
        }
    }

    static void bind(PreparedStatement statement, int at, String kind, String value) throws SQLException {
        switch (kind) {
            case "n": statement.setNull(at, Types.NULL); break;
            case "b": statement.setBoolean(at, value.equals("true")); break;
            case "i": statement.setBigDecimal(at, new BigDecimal(value)); break;
            case "d": statement.setBigDecimal(at, new BigDecimal(value)); break;
            default: statement.setString(at, value);
        }
    }

    static void tell(ResultSet rows) throws SQLException {
        ResultSetMetaData about = rows.getMetaData();
        int count = about.getColumnCount();
        int[] types = new int[count];
        String[] head = new String[1 + 2 * count];
        head[0] = "cols";
        for (int i = 0; i < count; i++) {
            types[i] = about.getColumnType(i + 1);
            head[1 + 2 * i] = about.getColumnLabel(i + 1);
            head[2 + 2 * i] = isWhole(types[i], about, i + 1) ? "i" : "t";
        }
        say(head);
        String[] line = new String[1 + count];
        line[0] = "row";
        while (rows.next()) {
            for (int i = 0; i < count; i++) line[i + 1] = cell(rows, i + 1, types[i]);
            say(line);
        }
    }

    static boolean isWhole(int type, ResultSetMetaData about, int at) throws SQLException {
        if (type == Types.NUMERIC || type == Types.DECIMAL) return about.getScale(at) <= 0;
        return type == Types.TINYINT || type == Types.SMALLINT || type == Types.INTEGER || type == Types.BIGINT;
    }

    static String cell(ResultSet rows, int at, int type) throws SQLException {
        switch (type) {
            case Types.NUMERIC: case Types.DECIMAL:
                BigDecimal number = null;
                try {
                    number = rows.getBigDecimal(at);
                } catch (SQLException error) { // NaN
                    return rows.getString(at);
                }
                return number == null ? null : number.toPlainString();
            case Types.BINARY: case Types.VARBINARY: case Types.LONGVARBINARY: case Types.BLOB:
                byte[] bytes = rows.getBytes(at);
                if (bytes == null) return null;
                StringBuilder hex = new StringBuilder("\\x");
                for (byte one : bytes) hex.append(String.format("%02x", one));
                return hex.toString();
            default:
                return rows.getString(at);
        }
    }

    static String text(Throwable error) {
        String said = error.getMessage() == null ? error.toString() : error.getMessage();
        return said.trim().replaceAll("\\s+", " ");
    }

    static String hint(SQLException error) {
        boolean none = "08001".equals(error.getSQLState()) && text(error).contains("No suitable driver");
        return none ? "look at `url:`, `jar:` and `driver:` of the connection: no driver in the jar takes this url" : "";
    }

    static void say(String... fields) {
        for (int i = 0; i < fields.length; i++) {
            if (i > 0) out.write('\t');
            out.write(fields[i] == null ? "\\N" : escaped(fields[i]));
        }
        out.write('\n');
    }

    static String escaped(String text) {
        StringBuilder made = null;
        for (int i = 0; i < text.length(); i++) {
            int which = "\\\t\n\r".indexOf(text.charAt(i));
            if (which >= 0 && made == null) made = new StringBuilder(text.substring(0, i));
            if (made != null) {
                if (which >= 0) made.append('\\').append("\\tnr".charAt(which)); else made.append(text.charAt(i));
            }
        }
        return made == null ? text : made.toString();
    }

    static String[] fields(String line) {
        String[] parts = line.split("\t", -1);
        for (int i = 0; i < parts.length; i++) parts[i] = parts[i].equals("\\N") ? null : plain(parts[i]);
        return parts;
    }

    static String plain(String text) {
        if (text.indexOf('\\') < 0) return text;
        StringBuilder made = new StringBuilder();
        for (int i = 0; i < text.length(); i++) {
            char one = text.charAt(i);
            made.append(one == '\\' ? "\\\t\n\r".charAt("\\tnr".indexOf(text.charAt(++i))) : one);
        }
        return made.toString();
    }
}
