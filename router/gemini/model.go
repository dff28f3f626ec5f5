package gemini

import (
	"strconv"
	"strings"
)

// family is what a model's name says of how it is asked.
type family struct {
	three   bool // Gemini 3 and later: thinking levels, ids and signatures of calls, resolution per image
	pro     bool
	flash   bool
	lite    bool
	thinks  bool // 2.5 and later
	level0  bool // takes the thinking level minimal
	xhigh   bool // takes the thinking level xhigh
	samples bool // heeds temperature, top_p and top_k
}

// familyOf reads a model's name, such as gemini-3.5-flash or
// gemini-2.5-pro-preview-06-05. Names without a number, such as
// gemini-flash-latest, are the newest; numbers alone are tuned models of the
// generation before, and so is Gemma.
func familyOf(model string) family {
	name := strings.ToLower(model[strings.LastIndexByte(model, '/')+1:])
	f := family{
		pro: strings.Contains(name, "pro"), flash: strings.Contains(name, "flash"),
		lite: strings.Contains(name, "lite"), thinks: true, samples: true,
	}
	rest, ok := strings.CutPrefix(name, "gemini-")
	if !ok {
		return f
	}
	major, minor := version(rest)
	switch {
	case major == 0:
		f.three = !strings.HasPrefix(rest, "exp") && rest != "pro" && rest != "flash"
	case major < 3:
		f.thinks = major == 2 && minor >= 5
	default:
		f.three = true
	}
	// The later ones of generation 3 take these parameters and do not heed them.
	f.samples = major != 3 || minor < 6 && !(minor == 5 && f.lite)
	f.level0 = f.three && f.flash && !(major == 3 && minor >= 7)
	f.xhigh = strings.HasPrefix(rest, "4-hydrogen")
	return f
}

// version reads the "3.5" of "3.5-flash"; zeros where there is none.
func version(rest string) (major, minor int) {
	number, _, _ := strings.Cut(rest, "-")
	whole, part, _ := strings.Cut(number, ".")
	major, err := strconv.Atoi(whole)
	if err != nil {
		return 0, 0
	}
	minor, _ = strconv.Atoi(part)
	return major, minor
}
