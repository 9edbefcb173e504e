package shapes

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// Text is one made text with at most one value to find.
type Text struct {
	Text       string
	Type       string // of the value; empty for none
	Start, End int
	Carrier    string
	Channel    string
}

// keys are names of members and columns, and labels in prose, that the
// development data does not have.
var keys = map[string][]string{
	"EMAIL_ADDRESS": {"kontaktEmail", "reply_to_addr", "courriel", "mailbox"}, "PHONE_NUMBER": {"telefonszam", "mobile_e164", "téléphone portable", "Rückrufnummer", "daytimePhone", "contact_tel"},
	"CREDIT_CARD": {"ccNumber", "payment_instrument_pan", "numero_tarjeta", "Kartennr", "card_on_file"}, "IBAN_CODE": {"bankverbindung", "payout_iban", "compte bancaire", "IBAN-Nr"},
	"US_SSN": {"socialSecurity", "employee_ssn", "ssn_last", "SS#"}, "US_ITIN": {"taxpayer_itin", "ITIN no", "individual tax id"},
	"IP_ADDRESS": {"remote_ip", "peerAddr", "X-Real-IP", "srcIP"}, "MAC_ADDRESS": {"hw_address", "nicMac", "station bssid"},
	"UK_NHS": {"nhs_id", "NHS Nr", "patientNhsNo"}, "UK_NINO": {"natInsNo", "NINO", "national insurance no"}, "ES_NIF": {"nif_cliente", "DNI/NIE", "numDni"},
	"IT_FISCAL_CODE": {"cod_fiscale", "codice fiscale cliente", "fiscalCode"}, "PL_PESEL": {"pesel_klienta", "nr PESEL"}, "SE_PERSONNUMMER": {"personNr", "svenskt personnummer"},
	"FI_HETU": {"asiakkaan_hetu", "henkilötunnus"}, "BR_CPF": {"cpf_titular", "CPF do cliente"}, "IN_AADHAAR": {"aadhaar_no", "Aadhaar card no"}, "IN_PAN": {"panCardNo", "income tax PAN"},
	"SG_NRIC_FIN": {"nric_fin", "NRIC No."}, "AU_TFN": {"employeeTfn", "tax file number (TFN)"}, "AU_ABN": {"supplier_abn", "ABN no."}, "DE_TAX_ID": {"steuerIdNr", "Steuer-IdNr.", "steueridentifikation"},
	"FR_NIR": {"num_secu", "numéro de sécurité sociale", "NIR"}, "US_PASSPORT": {"passportNo", "travel_document", "Passport #"}, "US_DRIVER_LICENSE": {"dlNumber", "driving_licence_no", "Driver License"},
	"US_BANK_NUMBER": {"bankAcctNo", "acct_number", "Account Number"}, "US_ABA_ROUTING": {"abaRouting", "routing_transit_no", "ABA routing"}, "US_NPI": {"npiNumber", "provider_npi", "NPI #"},
	"MEDICAL_LICENSE": {"deaNumber", "DEA #"}, "CRYPTO": {"ethWallet", "payout_wallet"}, "DATE_OF_BIRTH": {"dob_iso", "birth_dt", "Geb.-Datum", "date de naissance", "nacimiento"},
	"PERSON": {"accountHolder", "patient_name", "Nom complet", "beneficiaryName"}, "LOCATION": {"homeAddress", "delivery_addr", "Wohnadresse", "domicilio"},
}

var carriers = map[string]func(m maker, key, v string) string{
	"prose en": func(m maker, k, v string) string {
		return fmt.Sprintf(m.pick("As discussed, the %s on record is %s and should stay so.", "We noted your %s (%s) yesterday evening.", "Please check %s %s before you reply."), k, v)
	},
	"prose other": func(m maker, k, v string) string {
		return fmt.Sprintf(m.pick("Bitte prüfen Sie %s: %s – danke!", "Merci de vérifier %s : %s avant demain.", "Por favor revise %s %s hoy mismo.", "Proszę sprawdzić %s: %s."), k, v)
	},
	"yaml": func(_ maker, k, v string) string {
		return "record:\n  kind: person\n  " + k + ": \"" + v + "\"\n  rev: 3\n"
	},
	"csv": func(_ maker, k, v string) string { return "ref;" + k + ";status\nA-1;" + v + ";open\n" },
	"tsv": func(_ maker, k, v string) string { return "ref\tstatus\t" + k + "\nA-1\topen\t" + v + "\n" },
	"log": func(_ maker, k, v string) string {
		return "2026-05-11T08:12:09Z WARN svc=intake msg=\"stored\" " + strings.ReplaceAll(k, " ", "_") + "=\"" + v + "\" dur=12ms"
	},
	"json": func(_ maker, k, v string) string {
		return `{"rows":[{"meta":{"page":1},"person":{"` + k + `":` + quoted(v) + `,"active":true}}]}`
	},
	"json args": func(_ maker, k, v string) string {
		return `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"save","arguments":{"` + k + `":` + quoted(v) + `}}}`
	},
	"json in json": func(_ maker, k, v string) string {
		return `{"content":[{"type":"text","text":` + quoted(`{"`+k+`":`+quoted(v)+`}`) + `}]}`
	},
	"code": func(_ maker, k, v string) string {
		return "user." + ident(k) + " = '" + v + "'; // imported\nsave(user);"
	},
	"sql": func(_ maker, k, v string) string {
		return "INSERT INTO people (id, " + ident(k) + ") VALUES (17, '" + v + "');"
	},
	"xml":      func(_ maker, k, v string) string { return "<p><" + ident(k) + ">" + v + "</" + ident(k) + "></p>" },
	"html":     func(_ maker, k, v string) string { return "<tr><th>" + k + "</th><td>" + v + "</td></tr>" },
	"ini":      func(_ maker, k, v string) string { return "[person]\n" + ident(k) + " = " + v + "\n" },
	"markdown": func(_ maker, k, v string) string { return "- **" + k + "**: " + v + "\n- status: ok\n" },
	"bracket":  func(_ maker, k, v string) string { return "[" + k + "] " + v + " [/" + k + "]" },
}

func ident(k string) string {
	return strings.NewReplacer(" ", "_", ".", "", "#", "no", "/", "_", "(", "", ")", "", "-", "_").Replace(k)
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(b)
}

func place(text, value, kind, carrier string) (Text, bool) {
	i := strings.LastIndex(text, value)
	if i < 0 {
		return Text{}, false
	}
	return Text{Text: text, Type: kind, Start: i, End: i + len(value), Carrier: carrier}, true
}

// Personal returns each texts with a value of every type in every carrier.
func Personal(seed uint64, each int) []Text {
	m := maker{rand.New(rand.NewPCG(seed, 2))} //nolint:gosec // the same seed, the same texts
	var out []Text
	for _, kind := range slices.Sorted(maps.Keys(values)) {
		for _, c := range slices.Sorted(maps.Keys(carriers)) {
			for range each {
				v := values[kind](m)
				v = strings.TrimPrefix(v, "tel:")
				t, ok := place(carriers[c](m, m.pick(keys[kind]...), v), v, kind, c)
				if ok && (c == "json in json" || !strings.Contains(v, `"`)) {
					out = append(out, t)
				}
			}
		}
	}
	return out
}

// around are texts that hold a secret known by its own form.
var around = []string{"use \x00 for now", "TOKEN=\x00", `{"auth":{"value":"` + "\x00" + `"}}`, "leaked: \x00\nplease rotate", "curl https://api.example/?k=\x00", "- `\x00`", "  token: \x00\n  ttl: 3600\n", "export T=\"\x00\" # ci", "<value>\x00</value>", "(\x00)"}

// Secrets returns each texts with a secret of every kind.
func Secrets(seed uint64, each int) []Text {
	m := maker{rand.New(rand.NewPCG(seed, 3))} //nolint:gosec // the same seed, the same texts
	var out []Text
	for _, kind := range slices.Sorted(maps.Keys(secrets)) {
		for range each {
			v, a := secrets[kind](m)
			if a == bare {
				a = m.pick(around...)
			}
			if t, ok := place(strings.Replace(a, "\x00", v, 1), v, kind, "secret"); ok {
				out = append(out, t)
			}
		}
	}
	return out
}

// Harmless returns each texts of every kind that holds nothing to find.
func Harmless(seed uint64, each int) []Text {
	m := maker{rand.New(rand.NewPCG(seed, 4))} //nolint:gosec // the same seed, the same texts
	var out []Text
	for i, f := range harmless {
		for range each {
			out = append(out, Text{Text: f(m), Carrier: fmt.Sprint("harmless ", i)})
		}
	}
	return out
}
