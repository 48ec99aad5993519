# Perl's LWP.
use strict;
use warnings;
use HTTP::Request::Common qw(POST);
use LWP::UserAgent;

my ($url, $photo, $password, $out, @texts) = @ARGV;
$| = 1;
print "libwww-perl $LWP::UserAgent::VERSION\n";
my @form = map { split /=/, $_, 2 } @texts, "password=$password";
push @form, fileToUpload => [$photo, 'IMG_0003.JPG', 'Content-Type' => 'image/jpeg'];

my $answer = LWP::UserAgent->new->request(POST $url, Content_Type => 'form-data', Content => \@form);
# LWP makes a 500 of its own when there was no answer.
die $answer->message, "\n" if ($answer->header('Client-Warning') // '') eq 'Internal response';
open my $file, '>:raw', $out or die "$out: $!\n";
print $file $answer->content;
close $file or die "$out: $!\n";
print $answer->code, ' ', scalar $answer->content_type, "\n";
