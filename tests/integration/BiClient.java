import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.JDBCType;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;

/** Asks what a BI tool asks through JDBC, and prints each answer as a line of tab-separated words. */
public class BiClient {
    public static void main(String[] arguments) throws Exception {
        String url = arguments[0], user = arguments[1], password = System.getenv("BI_PASSWORD");
        try (Connection connection = DriverManager.getConnection(url, user, password)) {
            describe(connection);
            for (String line : Files.readAllLines(Path.of(arguments[2]))) {
                ask(connection, line);
            }
        }
    }

    private static void describe(Connection connection) throws SQLException {
        try (ResultSet schemas = connection.getMetaData().getSchemas()) {
            while (schemas.next()) {
                print("schema", schemas.getString("TABLE_SCHEM"));
            }
        }
        String[] types = {"TABLE", "VIEW"};
        try (ResultSet tables = connection.getMetaData().getTables(null, "reports", "%", types)) {
            while (tables.next()) {
                print("table", tables.getString("TABLE_NAME"), tables.getString("TABLE_TYPE"),
                    oneLine(tables.getString("REMARKS")));
            }
        }
        try (ResultSet columns = connection.getMetaData().getColumns(null, "reports", "%", "%")) {
            while (columns.next()) {
                print("column", columns.getString("TABLE_NAME"), columns.getString("COLUMN_NAME"),
                    JDBCType.valueOf(columns.getInt("DATA_TYPE")).getName(),
                    columns.getString("COLUMN_SIZE"), columns.getString("DECIMAL_DIGITS"),
                    oneLine(columns.getString("REMARKS")));
            }
        }
    }

    /** Runs a statement: how many rows and columns it gives, or the SQLSTATE of its refusal. */
    private static void ask(Connection connection, String sql) {
        try (Statement statement = connection.createStatement()) {
            int rows = 0, columns = 0;
            if (statement.execute(sql)) {
                ResultSet result = statement.getResultSet();
                columns = result.getMetaData().getColumnCount();
                while (result.next()) {
                    rows++;
                }
            }
            print("asked", sql, String.valueOf(rows), String.valueOf(columns));
        } catch (SQLException refused) {
            print("refused", sql, refused.getSQLState());
        }
    }

    private static String oneLine(String text) {
        return text == null ? "" : text.replaceAll("\\s+", " ").strip();
    }

    private static void print(String... words) {
        System.out.println(String.join("\t", words));
    }
}
