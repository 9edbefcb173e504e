// Package shapes makes texts with personal data and secrets, and harmless ones
// that look like them, in shapes that the development data does not have: other
// key names, languages, carriers and formats. Everything is made from a seed at
// run time, so that no token stands in a file. Check digits are right by trying.
package shapes

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/sallyport/sallyport/internal/inspect/checksum"
)

const (
	digits = "0123456789"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	lower  = "abcdefghijklmnopqrstuvwxyz"
	alnum  = digits + upper + lower
	hexa   = "0123456789abcdef"
	token  = alnum + "-_"
)

type maker struct{ *rand.Rand }

func (m maker) of(set string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = set[m.IntN(len(set))]
	}
	return string(b)
}

func (m maker) pick(list ...string) string { return list[m.IntN(len(list))] }

// form writes a pattern: # a digit, A a capital, a a small letter, * either, h a
// hexadecimal digit, and {x|y} one of several.
func (m maker) form(pattern string) string {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '#':
			b.WriteString(m.of(digits, 1))
		case 'A':
			b.WriteString(m.of(upper, 1))
		case 'a':
			b.WriteString(m.of(lower, 1))
		case '*':
			b.WriteString(m.of(alnum, 1))
		case 'h':
			b.WriteString(m.of(hexa, 1))
		case '{':
			end := i + strings.IndexByte(pattern[i:], '}')
			b.WriteString(m.pick(strings.Split(pattern[i+1:end], "|")...))
			i = end
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// valid tries until the check digits are right.
func (m maker) valid(check string, patterns ...string) string {
	ok, known := checksum.Lookup(check)
	for range 100000 {
		if s := m.form(m.pick(patterns...)); known && ok(s) {
			return s
		}
	}
	return "" // the patterns leave no such value
}

var given = []string{"Maria", "James", "Olga", "Hiroshi", "Fatima", "Chukwuemeka", "Wei", "Lars", "Giulia", "Mateusz", "Priya", "Ahmed", "Sofía", "Jean-Luc", "Aylin", "Dmitri", "Ngozi", "Siobhán", "Rahul", "Beatriz", "Thomas", "Karin", "Mohammed", "Elena", "Pieter"}
var family = []string{"Svensson", "O'Neill", "Tanaka", "Okonkwo", "García", "Dubois", "van der Berg", "Kowalczyk", "Rossi", "Sharma", "Yılmaz", "Petrov", "Schneider", "Hernández", "Al-Masri", "Nguyen", "Fitzgerald", "Lindqvist", "Costa", "Weber", "Chen", "Abara"}

// values makes a value of a type.
var values = map[string]func(m maker) string{
	"EMAIL_ADDRESS": func(m maker) string {
		return m.form(m.pick("aaaaa.aaaaaa@aaaaaa.{com|co.jp|org|museum}", "a.aaaaaaa+aaaa@aaaa-aaaa.{de|fr|io}", "aaa_aa##@mail.aaaaaa.{ac.uk|edu|gov.au}", "AAAAA@AAAAAA.COM"))
	},
	"PHONE_NUMBER": func(m maker) string {
		return m.form(m.pick("+81 {3|6}-####-####", "+55 (11) 9####-####", "+91-98###-#####", "+353 1 ### ####", "+61 4## ### ###", "+33{6|7}########", "+49 30 {2|4|7}#######", "+1-{212|415|646}-{2|5|7}##-####", "(0{20|21|31}) 7### ####", "{212|303|617}.{5|6}##.####", "07### ######", "06 ## ## ## ##", "0049 89 ######", "+234 80# ### ####", "+90 (532) ### ## ##", "+7 495 ###-##-##", "+86 138 #### ####", "+46 70-### ## ##", "tel:+44-20-7###-####")[0:])
	},
	"CREDIT_CARD": func(m maker) string {
		return m.valid("card", "4### #### #### ####", "5{1|2|3|4|5}##-####-####-####", "3{4|7}## ###### #####", "22{3|4|5}#############", "6011############", "35{3|4}# #### #### ####", "4###.####.####.####", "4###############", "30{1|2}# ###### ####")
	},
	"IBAN_CODE": func(m maker) string {
		return m.valid("iban", "NL## ABNA #### #### ##", "BE## #### #### ####", "ES######################", "SE## #### #### #### #### ####", "CH## #### #### #### #### #", "PL## #### #### #### #### #### ####", "ie##aaaa##############", "NO## #### #### ###", "AT## #### #### #### ####", "PT## #### #### #### #### #### #", "LU##-####-####-####-####")
	},
	"US_SSN": func(m maker) string {
		return m.valid("ssn", "{1|2|3|4|5}##-##-####", "{2|5}## ## ####", "{1|4|6}########")
	},
	"US_ITIN": func(m maker) string { return m.valid("itin", "9##-{7|8}#-####", "9##{7|8}#####") },
	"IP_ADDRESS": func(m maker) string {
		return m.form(m.pick("81.2.{69|7}.1##", "2001:db8:hhhh::hhhh:hhhh", "192.168.{1|44}.2{1|3}", "fe80::hhhh:h1ff:fehh:hhhh", "2{a}02:hhh:hhhh:hhhh:hhhh:hhhh:hhhh:hhhh", "10.{1|77}.{3|12}.{4|99}"))
	},
	"MAC_ADDRESS": func(m maker) string {
		return m.form(m.pick("0h:hh:hh:h1:hh:h2", "{0C|A4|7E}-{1A|B7}-2{B|C}-{3C|9D}-4E-{5F|80}", "h1hh.h2hh.hh3h"))
	},
	"UK_NHS":  func(m maker) string { return m.valid("nhs", "### ### ####", "##########", "###-###-####") },
	"UK_NINO": func(m maker) string { return m.form("{AB|CE|JK|PX|SR|ZL} ## ## ## {A|B|C|D}") },
	"ES_NIF":  func(m maker) string { return m.valid("es_nif", "########A", "{X|Y}#######A", "########-A") },
	"IT_FISCAL_CODE": func(m maker) string {
		return m.valid("it_fiscal", "{RSS|BNC|VRD}{MRA|LGU|NNA}##{A|H|T}{1|2|5}#{F|H|L}###A")
	},
	"PL_PESEL": func(m maker) string { return m.valid("pesel", "{5|7|8}#{0|1}#{0|1|2}######") },
	"SE_PERSONNUMMER": func(m maker) string {
		return m.valid("personnummer", "{6|7|8}#{0|1}#{0|1|2}#-####", "19{6|8}#{0|1}#{0|1}#-####")
	},
	"FI_HETU": func(m maker) string {
		return m.valid("hetu", "{0|1|2}#{0|1}###-{2|3|7}##{A|C|H|M|T|4}", "{0|1}#{0|1}#0{1|5}{A|B}###{2|K|P}")
	},
	"BR_CPF":      func(m maker) string { return m.valid("cpf", "###.###.###-##", "###########") },
	"IN_AADHAAR":  func(m maker) string { return m.valid("verhoeff", "{3|5|8}### #### ####", "{4|6|9}###########") },
	"IN_PAN":      func(m maker) string { return m.form("AAA{P|C|H}A####A") },
	"SG_NRIC_FIN": func(m maker) string { return m.valid("nric", "{S|T|F|G}#######A") },
	"AU_TFN":      func(m maker) string { return m.valid("tfn", "{1|4|8}## ### ###", "{2|5}########") },
	"AU_ABN":      func(m maker) string { return m.valid("abn", "{1|5|8}# ### ### ###", "{3|6|9}##########") },
	"DE_TAX_ID":   func(m maker) string { return m.valid("de_tax", "{1|4|8}# ### ### ###", "{2|5|7}##########") },
	"FR_NIR": func(m maker) string {
		return m.valid("nir", "{1|2} {5|7|9}# {0}{3|7|9} {13|59|75} ### ### ##", "{1|2}{6|8}#{0}{1|8}{33|69}########")
	},
	"US_PASSPORT":       func(m maker) string { return m.form(m.pick("{4|5|6}########", "A########")) },
	"US_DRIVER_LICENSE": func(m maker) string { return m.form(m.pick("A#######", "A###-####-####", "########", "AA######A")) },
	"US_BANK_NUMBER":    func(m maker) string { return m.form(m.pick("##########", "############", "###-######-#")) },
	"US_ABA_ROUTING":    func(m maker) string { return m.valid("aba", "{0|1}{2|1}#######") },
	"US_NPI":            func(m maker) string { return m.valid("npi", "{1|2}#########") },
	"MEDICAL_LICENSE":   func(m maker) string { return m.valid("dea", "{A|B|F|M}A#######") },
	"CRYPTO":            func(m maker) string { return m.form("0xhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh") },
	"DATE_OF_BIRTH": func(m maker) string {
		return m.form(m.pick("19{5|7|8}#-{0}{1|4|9}-{0|1}{3|7}", "{0|1}{2|9}/{0}{3|6}/19{6|8}#", "{3|17} {March|July|October} 19{7|9}#", "{5|22}.{1|8}.19{4|6}#", "{January|August} {4|19}, 19{7|8}#", "{6|14}-{Jan|Sep|Dec}-19{5|9}#"))
	},
	"PERSON": func(m maker) string { return m.pick(given...) + " " + m.pick(family...) },
	"LOCATION": func(m maker) string {
		return m.form(m.pick("{7|41|208} {Maple|Church|Queen's} {Avenue|Road|Lane}, {Leeds|Dayton|Perth}", "{Goethestraße|Lindenstraße|Schillerweg} {3|18}, ##### {Köln|Jena|Ulm}", "{4|26} {rue} {Victor Hugo|des Lilas|de la Paix}, {69|33|75}0{0|1}{2|6} {Lyon|Bordeaux|Paris}", "{Calle} {Mayor|del Sol} {5|33}, 2{8|9}0{0|1}{4|7} {Madrid|Málaga}", "{Via} {Roma|Garibaldi} {9|77}, 0{0|1}1{2|8}{1|5} {Roma|Latina}", "{1200|88} {Sunset|Ocean} {Boulevard}, {Apt} {4|12B}, {Austin|Reno}, {TX|NV} {78|89}{5|7}##"))
	},
}

// secrets makes a secret of a kind, and a text that holds it at the first \x00.
var secrets = map[string]func(m maker) (value, around string){
	"github":     plainToken("gh{p|o|s}_", alnum, 36),
	"github pat": plainToken("github_pat_", alnum+"_", 82),
	"gitlab":     plainToken("glpat-", token, 20),
	"slack": func(m maker) (string, string) {
		return m.form("xox{b|p}-###########-############-") + m.of(alnum, 24), bare
	},
	"aws id": func(m maker) (string, string) { return "AKIA" + m.of(upper+"234567", 16), bare },
	"aws key": func(m maker) (string, string) {
		return m.of(alnum+"+/", 40), m.pick("aws_secret_access_key = \x00\nregion = eu-west-1", `"secretAccessKey": "`+"\x00"+`"`, "AWS_SECRET_ACCESS_KEY=\x00")
	},
	"stripe":       plainToken("{sk|rk}_live_", alnum, 24),
	"google":       plainToken("AIza", token, 35),
	"sendgrid":     func(m maker) (string, string) { return "SG." + m.of(token, 22) + "." + m.of(token, 43), bare },
	"npm":          plainToken("npm_", alnum, 36),
	"pypi":         plainToken("pypi-AgEIcHlwaS5vcmc", token, 80),
	"openai":       plainToken("sk-proj-", alnum, 48),
	"anthropic":    plainToken("sk-ant-api03-", token, 93),
	"hugging face": plainToken("hf_", upper+lower, 34),
	"digitalocean": plainToken("dop_v1_", hexa, 64),
	"shopify":      plainToken("shpat_", hexa, 32),
	"vault":        plainToken("hvs.", alnum, 90),
	"telegram": func(m maker) (string, string) {
		return m.of("123456789", 1) + m.of(digits, 8) + ":AA" + m.of(token, 33), bare
	},
	"databricks":  plainToken("dapi", hexa, 32),
	"linear":      plainToken("lin_api_", alnum, 40),
	"postman":     func(m maker) (string, string) { return "PMAK-" + m.of(hexa, 24) + "-" + m.of(hexa, 34), bare },
	"docker":      plainToken("dckr_pat_", token, 27),
	"grafana":     plainToken("glsa_", alnum, 41),
	"new relic":   plainToken("NRAK-", upper+digits, 27),
	"doppler":     plainToken("dp.pt.", alnum, 43),
	"planetscale": plainToken("pscale_tkn_", token, 43),
	"mailgun":     plainToken("key-", hexa, 32),
	"square":      plainToken("sq0atp-", token, 22),
	"age key":     plainToken("AGE-SECRET-KEY-1", upper+digits, 58),
	"jwt": func(m maker) (string, string) {
		enc := base64.RawURLEncoding.EncodeToString
		return enc([]byte(`{"alg":"RS256","kid":"`+m.of(hexa, 8)+`"}`)) + "." + enc([]byte(`{"sub":"`+m.of(digits, 6)+`","iss":"https://id.example"}`)) + "." + m.of(token, 86), bare
	},
	"uri password": func(m maker) (string, string) {
		return m.of(alnum+"!.$", 14), m.pick("mongodb+srv://app:\x00@cluster0.db.example/test", "amqps://svc:\x00@mq.internal:5671/vh", "DATABASE_URL=mysql://root:\x00@10.0.0.5/shop?tls=true", "https://robot:\x00@git.example.org/team/repo.git", "redis://default:\x00@cache:6379/0", "jdbc:postgresql://u:\x00@db.local:5432/x")
	},
	"ado": func(m maker) (string, string) {
		return m.of(alnum, 16), "Server=tcp:sql.example,1433;Database=hr;User ID=sa;Password=\x00;Encrypt=True"
	},
	"bearer": func(m maker) (string, string) {
		return m.of(token, 43), m.pick("authorization: bearer \x00", `curl -H "Authorization: Bearer `+"\x00"+`" https://api.example/v2`, `headers = {"Authorization": "Bearer `+"\x00"+`"}`)
	},
	"basic": func(m maker) (string, string) {
		return base64.StdEncoding.EncodeToString([]byte("svc:" + m.of(alnum, 17))), "Authorization: Basic \x00"
	},
	"cookie": func(m maker) (string, string) {
		return m.of(alnum, 40), m.pick("Set-Cookie: PHPSESSID=\x00; Path=/; HttpOnly", "Cookie: theme=dark; session_token=\x00; lang=de", "set-cookie: __Secure-next-auth.session-token=\x00; Secure")
	},
	"kube": func(m maker) (string, string) {
		return base64.StdEncoding.EncodeToString([]byte("-----BEGIN EC PRIVATE KEY-----\n" + m.of(alnum, 120))), "users:\n- name: admin\n  user:\n    client-certificate-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t\n    client-key-data: \x00\n"
	},
	"private": func(m maker) (string, string) { return pem(m), "-- deploy key --\n\x00\n-- end --" },
	"password": func(m maker) (string, string) {
		return m.form("A***#*a*!*#a"), m.pick("db:\n  user: app\n  password: \x00\n", `{"host":"mx1","smtpPassword":"`+"\x00"+`"}`, "export PGPASSWORD='\x00'", "Das Passwort lautet: \x00", "mot de passe : \x00", "ADMIN_PASS=\x00", "password := \"\x00\"", "spring.datasource.password=\x00")
	},
	"api key": func(m maker) (string, string) {
		return m.of(hexa, 32), m.pick("x-api-key: \x00", `"apiKey": "`+"\x00"+`",`, "API_KEY=\x00", "client_secret: \x00", "?access_token=\x00&page=2", "const apiSecret = '\x00';", "<add key=\"ApiToken\" value=\"\x00\" />", "auth.token=\x00")
	},
	"azure storage": func(m maker) (string, string) {
		return m.of(alnum+"+/", 86) + "==", "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=\x00;EndpointSuffix=core.windows.net"
	},
	"azure client": func(m maker) (string, string) { return m.of(alnum, 3) + "8Q~" + m.of(token, 34), bare },
	"slack hook": func(m maker) (string, string) {
		return "https://hooks.slack.com/services/" + m.form("T********/B********/") + m.of(alnum, 24), bare
	},
	"discord hook": func(m maker) (string, string) {
		return "https://discord.com/api/webhooks/" + m.of("123456789", 18) + "/" + m.of(token, 68), bare
	},
}

// bare marks a secret that is known by its own form.
const bare = ""

func plainToken(prefix, set string, n int) func(maker) (string, string) {
	return func(m maker) (string, string) {
		p := m.form(strings.NewReplacer("#", "\x01", "A", "\x02", "a", "\x03", "*", "\x04", "h", "\x05").Replace(prefix))
		return strings.NewReplacer("\x01", "#", "\x02", "A", "\x03", "a", "\x04", "*", "\x05", "h").Replace(p) + m.of(set, n), bare
	}
}

func pem(m maker) string {
	kind := m.pick("RSA ", "EC ", "OPENSSH ", "", "ENCRYPTED ")
	var b strings.Builder
	fmt.Fprintf(&b, "-----BEGIN %sPRIVATE KEY-----\n", kind)
	for range 3 + m.IntN(8) {
		b.WriteString(m.of(alnum+"+/", 64) + "\n")
	}
	fmt.Fprintf(&b, "%s==\n-----END %sPRIVATE KEY-----", m.of(alnum, 30), kind)
	return b.String()
}

// harmless makes a text without personal data or secrets that has their looks.
var harmless = []func(m maker) string{
	func(m maker) string {
		return "order " + m.of(digits, 10) + " shipped, tracking 1Z" + m.of(upper+digits, 16)
	},
	func(m maker) string {
		return `{"sku":"` + m.valid("luhn", "################") + `","qty":` + m.of("123456789", 1) + `}`
	},
	func(m maker) string {
		return "commit " + m.of(hexa, 40) + "\nAuthor: build bot\n\n    bump version to 4.12.0"
	},
	func(m maker) string { return m.form("request_id=hhhhhhhh-hhhh-4hhh-9hhh-hhhhhhhhhhhh took ###ms") },
	func(m maker) string { return "sha256:" + m.of(hexa, 64) + "  alpine-3.20.tar.gz" },
	func(m maker) string {
		return `{"ts":17` + m.of(digits, 8) + `,"seq":` + m.of("123456789", 9) + `,"offset":` + m.of("123456789", 11) + `}`
	},
	func(m maker) string { return "integrity sha512-" + m.of(alnum+"+/", 86) + "==" },
	func(m maker) string { return "data:image/png;base64,iVBORw0KGgo" + m.of(alnum+"+/", 160) },
	func(m maker) string { return "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + m.of(alnum+"+/", 43) + " build" },
	func(m maker) string {
		return "-----BEGIN PUBLIC KEY-----\n" + m.of(alnum+"+/", 64) + "\n" + m.of(alnum+"+/", 60) + "==\n-----END PUBLIC KEY-----"
	},
	func(m maker) string {
		return "-----BEGIN CERTIFICATE-----\nMII" + m.of(alnum+"+/", 61) + "\n" + m.of(alnum+"+/", 60) + "==\n-----END CERTIFICATE-----"
	},
	func(m maker) string {
		return m.pick("API_KEY=<your key here>", "password: ${DB_PASSWORD}", `token = os.environ["TOKEN"]`, "secret: changeme-please", "api_key: xxxxxxxxxxxxxxxxxxxxxxxx", "Authorization: Bearer {{token}}", "password = input('Password: ')", "client_secret: $(SECRET)", "postgres://user:password@localhost/example", "pwd: ********", "AKIAIOSFODNN7EXAMPLE is the id in the manual", "access_token: string (required)", "https://USER:PASSWORD@host.example/")
	},
	func(m maker) string { return m.form("go 1.{22|26}.#, libssl 3.0.1#, driver 5{3|4}5.1##.0#") },
	func(m maker) string { return m.form("lat 4#.######, lon -1#.######, alt 2##.# m") },
	func(m maker) string {
		return m.form("2026-0{2|5|9}-{1|2}#T0#:{1|4}#:5#.###Z INFO worker-# finished batch ######## in ####ms")
	},
	func(m maker) string { return m.form("ISBN 978-3-16-1{4|7}8410-#, page 2##, price EUR 1,###.##") },
	func(m maker) string { return m.form("invoice 2026/####, total 1#,###.00, due 3# days, VAT 19 %") },
	func(m maker) string {
		return m.form("| part | qty | bin |\n|---|---|---|\n| AA-#####-## | ## | 1#-0#-2# |")
	},
	func(m maker) string { return "cursor=" + m.of(alnum, 44) + "&limit=50" },
	func(m maker) string { return `{"nextPageToken":"` + m.of(alnum+"-_", 56) + `","items":[]}` },
	func(m maker) string { return "ETag: W/\"" + m.of(hexa, 32) + "\"\nX-Trace-Id: " + m.of(hexa, 32) },
	func(m maker) string { return "traceparent: 00-" + m.of(hexa, 32) + "-" + m.of(hexa, 16) + "-01" },
	func(m maker) string {
		return m.form("score 3-2 after 90 minutes; attendance ##,###; half-time 1-1; room 4#.1#")
	},
	func(m maker) string {
		return m.form("ports 8080-8090, 0.0.0.0:9090, netmask 255.255.255.0, localhost 127.0.0.1")
	},
	func(m maker) string { return "color: #" + m.of(hexa, 6) + "; margin: 12px 24px; z-index: 99999" },
	func(m maker) string { return "-- " + hex.EncodeToString([]byte(m.of("\x00\x01\x80\xff\xfe", 24))) },
	func(m maker) string {
		return "arn:aws:iam::" + m.of("123456789", 12) + ":role/deploy, vpc-0" + m.of(hexa, 16) + ", i-0" + m.of(hexa, 16)
	},
	func(m maker) string { return "docker.io/library/redis@sha256:" + m.of(hexa, 64) },
	func(m maker) string {
		return m.form("The Treaty of Westphalia was signed in 1648; the text has 1## articles and ### pages.")
	},
	func(m maker) string {
		return m.form("Released on 2026-0{3|6}-1#: fixes #### and ####, updated 1#.0#.2025, expires 0{1|9}/2029.")
	},
	func(m maker) string {
		return m.pick("New York Times", "The Amazon River floods in May near Porto Velho.", "Visual Studio Code, Apple Music and Google Cloud Run", "Dear Sir or Madam, Kind Regards", "Mount Everest, North Face, Base Camp", "Monday Morning Meeting, Grand Central Station", "San Francisco, Los Angeles and Santa Fe are cities.")
	},
	func(m maker) string { return "const hash = \"" + m.of(hexa, 64) + "\" // of the lock file" },
	func(m maker) string {
		return `{"id":"evt_` + m.of(alnum, 24) + `","object":"event","livemode":false,"request":"req_` + m.of(alnum, 14) + `"}`
	},
	func(m maker) string {
		return "password policy: at least 12 characters, one digit; tokens expire after 3600 seconds"
	},
	func(m maker) string {
		return "VIN 1HGCM82633A00" + m.of(digits, 4) + ", odometer " + m.of("123456789", 6) + " km"
	},
	func(m maker) string {
		return "flight LH" + m.of("123456789", 3) + " gate B" + m.of("123456789", 2) + " seat 14C, booking " + m.of(upper+digits, 6)
	},
	func(m maker) string {
		return "SELECT * FROM t WHERE id IN (" + m.of("123456789", 8) + ", " + m.of("123456789", 9) + ", " + m.of("123456789", 10) + ")"
	},
}
