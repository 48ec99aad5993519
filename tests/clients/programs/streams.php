<?php
// PHP without curl: file_get_contents with a context.
[, $url, $photo, $password, $out] = $argv;
echo 'PHP ', PHP_VERSION, "\n";
$boundary = 'photoslot' . getmypid();
$form = '';
foreach ([...array_slice($argv, 5), "password=$password"] as $text) {
    [$name, $value] = explode('=', $text, 2);
    $form .= "--$boundary\r\nContent-Disposition: form-data; name=\"$name\"\r\n\r\n$value\r\n";
}
$form .= "--$boundary\r\nContent-Disposition: form-data; name=\"fileToUpload\"; filename=\"IMG_0003.JPG\"\r\n";
$form .= "Content-Type: image/jpeg\r\n\r\n" . file_get_contents($photo) . "\r\n--$boundary--\r\n";

$answer = file_get_contents($url, false, stream_context_create(['http' => [
    'method' => 'POST',
    'header' => "Content-Type: multipart/form-data; boundary=$boundary",
    'content' => $form,
    'ignore_errors' => true,
]]));
if ($answer === false) {
    exit(1);
}
file_put_contents($out, $answer);
$status = $type = '';
foreach ($http_response_header as $line) {
    if (preg_match('#^HTTP/\S+ (\d+)#', $line, $found)) {
        $status = $found[1];
    } elseif (preg_match('#^content-type: *(.*)#i', $line, $found)) {
        $type = $found[1];
    }
}
echo "$status $type\n";
