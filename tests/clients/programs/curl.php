<?php
// PHP's curl, which waits for 100 Continue with a photo.
[, $url, $photo, $password, $out] = $argv;
echo 'PHP ', PHP_VERSION, ', curl ', curl_version()['version'], "\n";
$form = ['password' => $password];
foreach (array_slice($argv, 5) as $text) {
    [$name, $value] = explode('=', $text, 2);
    $form[$name] = $value;
}
$form['fileToUpload'] = new CURLFile($photo, 'image/jpeg', 'IMG_0003.JPG');

$curl = curl_init($url);
curl_setopt_array($curl, [CURLOPT_POSTFIELDS => $form, CURLOPT_RETURNTRANSFER => true]);
if (getenv('SSL_CERT_FILE')) {
    curl_setopt($curl, CURLOPT_CAINFO, getenv('SSL_CERT_FILE'));
}
$answer = curl_exec($curl);
if ($answer === false) {
    fwrite(STDERR, curl_error($curl) . "\n");
    exit(1);
}
file_put_contents($out, $answer);
echo curl_getinfo($curl, CURLINFO_RESPONSE_CODE), ' ', curl_getinfo($curl, CURLINFO_CONTENT_TYPE), "\n";
