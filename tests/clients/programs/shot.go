// Go's net/http; with --chunked the form is written while it is sent, so that it has no length.
package main

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"os"
	"runtime"
	"strings"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(form *multipart.Writer, photo, password string, texts []string) {
	for _, text := range append(texts, "password="+password) {
		name, value, _ := strings.Cut(text, "=")
		check(form.WriteField(name, value))
	}
	part, err := form.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="fileToUpload"; filename="IMG_0003.JPG"`},
		"Content-Type":        {"image/jpeg"},
	})
	check(err)
	file, err := os.Open(photo)
	check(err)
	// Whoever reads has hung up when this fails; the answer, or its absence, says why.
	io.Copy(part, file)
	form.Close()
}

func main() {
	given, chunked := os.Args[1:], os.Args[1] == "--chunked"
	if chunked {
		given = given[1:]
	}
	fmt.Println("Go", strings.TrimPrefix(runtime.Version(), "go"))
	var body io.Reader
	var form *multipart.Writer
	if chunked {
		reader, writer := io.Pipe()
		form, body = multipart.NewWriter(writer), reader
		go func() {
			write(form, given[1], given[2], given[4:])
			writer.Close()
		}()
	} else {
		buffer := &bytes.Buffer{}
		form, body = multipart.NewWriter(buffer), buffer
		write(form, given[1], given[2], given[4:])
	}
	answer, err := http.Post(given[0], form.FormDataContentType(), body)
	check(err)
	picture, err := io.ReadAll(answer.Body)
	check(err)
	check(os.WriteFile(given[3], picture, 0o644))
	fmt.Println(answer.StatusCode, answer.Header.Get("Content-Type"))
}
