"""Qt's QNetworkAccessManager; with --h2c it may speak HTTP/2, which without TLS is an Upgrade."""

import os
import sys
from pathlib import Path

from PySide2.QtCore import QCoreApplication, QFile, QIODevice, QUrl, qVersion
from PySide2.QtNetwork import (
    QHttpMultiPart,
    QHttpPart,
    QNetworkAccessManager,
    QNetworkRequest,
    QSslCertificate,
)

is_h2c = sys.argv[1] == "--h2c"
url, photo, password, out, *texts = sys.argv[1 + is_h2c :]
print("Qt", qVersion(), flush=True)
app = QCoreApplication([])
form = QHttpMultiPart(QHttpMultiPart.FormDataType)
for text in [*texts, f"password={password}"]:
    name, value = text.split("=", 1)
    part = QHttpPart()
    part.setHeader(QNetworkRequest.ContentDispositionHeader, f'form-data; name="{name}"')
    part.setBody(value.encode())
    form.append(part)
file = QFile(photo)
assert file.open(QIODevice.ReadOnly)
part = QHttpPart()
part.setHeader(
    QNetworkRequest.ContentDispositionHeader,
    'form-data; name="fileToUpload"; filename="IMG_0003.JPG"',
)
part.setHeader(QNetworkRequest.ContentTypeHeader, "image/jpeg")
part.setBodyDevice(file)
form.append(part)

request = QNetworkRequest(QUrl(url))
trusted = QSslCertificate.fromPath(os.environ.get("SSL_CERT_FILE", ""))
if trusted:
    tls = request.sslConfiguration()
    tls.setCaCertificates(trusted)
    request.setSslConfiguration(tls)
request.setAttribute(QNetworkRequest.HTTP2AllowedAttribute, is_h2c)
manager = QNetworkAccessManager()
answer = manager.post(request, form)
answer.finished.connect(app.quit)
app.exec_()
status = answer.attribute(QNetworkRequest.HttpStatusCodeAttribute)
if status is None:
    sys.exit(answer.errorString())
Path(out).write_bytes(answer.readAll().data())
print(status, answer.header(QNetworkRequest.ContentTypeHeader))
