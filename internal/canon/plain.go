package canon

// maxPlainDigits keeps a plain number below 2^53 by its length alone.
const maxPlainDigits = 15

// plain reports whether a text is certainly canonical: no blanks, names in
// strictly ascending order, printable ASCII without escapes in all strings,
// integers in their one spelling. That is what most signed messages are; false
// says nothing, and the whole rule has to decide.
func plain(text []byte) bool {
	n, ok := plainValue(text, 0, 0)
	return ok && n == len(text)
}

// plainValue reads the value that begins at i and gives where it ends.
func plainValue(b []byte, i, depth int) (int, bool) {
	if depth > MaxDepth || i >= len(b) {
		return i, false
	}
	switch c := b[i]; c {
	case '{':
		return plainObject(b, i+1, depth)
	case '[':
		return plainArray(b, i+1, depth)
	case '"':
		return plainString(b, i)
	case 't':
		return plainWord(b, i, "true")
	case 'f':
		return plainWord(b, i, "false")
	case 'n':
		return plainWord(b, i, "null")
	default:
		return plainNumber(b, i)
	}
}

func plainObject(b []byte, i, depth int) (int, bool) {
	if i < len(b) && b[i] == '}' {
		return i + 1, true
	}
	var last []byte
	for first := true; ; first = false {
		end, ok := plainString(b, i)
		// ASCII sorts as UTF-16 does, and a name that is twice does not ascend.
		if !ok || !first && string(b[i:end-1]) <= string(last) || end >= len(b) || b[end] != ':' {
			return end, false
		}
		last = b[i : end-1]
		if i, ok = plainValue(b, end+1, depth+1); !ok || i >= len(b) {
			return i, false
		}
		switch b[i] {
		case ',':
			i++
		case '}':
			return i + 1, true
		default:
			return i, false
		}
	}
}

func plainArray(b []byte, i, depth int) (int, bool) {
	if i < len(b) && b[i] == ']' {
		return i + 1, true
	}
	for {
		var ok bool
		if i, ok = plainValue(b, i, depth+1); !ok || i >= len(b) {
			return i, false
		}
		switch b[i] {
		case ',':
			i++
		case ']':
			return i + 1, true
		default:
			return i, false
		}
	}
}

func plainString(b []byte, i int) (int, bool) {
	if i >= len(b) || b[i] != '"' {
		return i, false
	}
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1, true
		case c < ' ' || c > '~' || c == '\\':
			return i, false
		}
	}
	return i, false
}

func plainWord(b []byte, i int, word string) (int, bool) {
	end := i + len(word)
	return end, end <= len(b) && string(b[i:end]) == word
}

func plainNumber(b []byte, i int) (int, bool) {
	if b[i] == '-' {
		if i++; i < len(b) && b[i] == '0' {
			return i, false
		}
	}
	start := i
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	n := i - start
	return i, n > 0 && n <= maxPlainDigits && (b[start] != '0' || n == 1)
}
