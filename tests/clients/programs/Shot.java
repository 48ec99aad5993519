import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Path;

/** Java's HttpClient. Unless told otherwise it asks for HTTP/2, without TLS by an Upgrade of its first request. */
public class Shot {
    private static final String PART = "--photoslot\r\nContent-Disposition: form-data; name=\"%s\"";

    public static void main(String[] given) throws Exception {
        System.out.println("Java " + System.getProperty("java.version"));
        var form = new StringBuilder();
        for (int i = 4; i < given.length; i++) {
            var text = given[i].split("=", 2);
            form.append(PART.formatted(text[0])).append("\r\n\r\n").append(text[1]).append("\r\n");
        }
        form.append(PART.formatted("password")).append("\r\n\r\n").append(given[2]).append("\r\n");
        form.append(PART.formatted("fileToUpload")).append("; filename=\"IMG_0003.JPG\"\r\n");
        form.append("Content-Type: image/jpeg\r\n\r\n");
        var body = BodyPublishers.concat(
                BodyPublishers.ofString(form.toString()),
                BodyPublishers.ofFile(Path.of(given[1])),
                BodyPublishers.ofString("\r\n--photoslot--\r\n"));
        var request = HttpRequest.newBuilder(URI.create(given[0]))
                .header("Content-Type", "multipart/form-data; boundary=photoslot")
                .POST(body)
                .build();
        try {
            var answer = HttpClient.newHttpClient().send(request, BodyHandlers.ofFile(Path.of(given[3])));
            System.out.println(answer.statusCode() + " " + answer.headers().firstValue("content-type").orElse(""));
        } catch (IOException failed) {
            System.err.println(failed);
            System.exit(1);
        }
    }
}
