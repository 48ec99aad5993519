# Ruby's Net::HTTP.
require "net/http"

url, photo, password, out, *texts = ARGV
$stdout.sync = true
puts "Ruby #{RUBY_VERSION}"
form = [*texts, "password=#{password}"].map { |text| text.split("=", 2) }
form << ["fileToUpload", File.open(photo, "rb"), { filename: "IMG_0003.JPG", content_type: "image/jpeg" }]
request = Net::HTTP::Post.new(URI(url))
request.set_form(form, "multipart/form-data")

use_ssl = request.uri.scheme == "https"
answer = Net::HTTP.start(request.uri.hostname, request.uri.port, use_ssl: use_ssl) { |http| http.request(request) }
File.binwrite(out, answer.body)
puts "#{answer.code} #{answer["content-type"]}"
