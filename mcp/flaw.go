package mcp

// flawFault puts a flaw of the text into the protocol's words. What is not
// JSON (RFC 8259) is a parse error; what is, but would not be understood alike
// by everyone, is an invalid request, whose id can still be told.
func flawFault(f flaw, at int) *Fault {
	switch f {
	case flawEnd:
		return parseFault("message ends early", at)
	case flawUTF8:
		return parseFault("invalid UTF-8", at)
	case flawTrailing:
		return parseFault("data after the message", at)
	case flawSurrogate:
		return malformed("lone surrogate", at)
	case flawDuplicate:
		return malformed("duplicate key", at)
	case flawFold:
		return malformed("key that equals a key of the protocol only after case folding", at)
	case flawPrototype:
		return malformed("key __proto__, which JavaScript decoders drop or obey", at)
	case flawDepth:
		return tooLarge("nesting deeper than the limit", at)
	case flawNumber:
		return tooLarge("number longer than the limit", at)
	case flawKeys:
		return tooLarge("object with more members than the limit", at)
	}
	return parseFault("not JSON", at)
}

func parseFault(detail string, at int) *Fault {
	return &Fault{Reason: ReasonMalformed, Status: 400, Code: CodeParse, Detail: detail, Offset: at}
}

func malformed(detail string, at int) *Fault {
	return &Fault{Reason: ReasonMalformed, Status: 400, Code: CodeInvalidRequest, Detail: detail, Offset: at}
}

func tooLarge(detail string, at int) *Fault {
	return &Fault{Reason: ReasonTooLarge, Status: 400, Code: CodeInvalidRequest, Detail: detail, Offset: at}
}

func invalid(detail string, at int) *Fault {
	return &Fault{Reason: ReasonInvalid, Status: 400, Code: CodeInvalidRequest, Detail: detail, Offset: at}
}
