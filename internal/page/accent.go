package page

import "fmt"

// Fit gives the accent of each scheme that is nearest to a company's one colour and can be read there: darker on light
// ground, lighter on dark. A colour that can be read already stays as it is.
func Fit(accent string) (light, dark string, err error) {
	if light, err = fit(accent, false); err != nil {
		return "", "", err
	}
	dark, err = fit(accent, true)
	return light, dark, err
}

func fit(accent string, dark bool) (string, error) {
	want, err := colour(accent)
	if err != nil {
		return "", fmt.Errorf("accent: %w", err)
	}
	own, _, _ := house(dark)
	ink, err := colour(own.Ink)
	if err != nil {
		return "", err
	}
	for weight := 0.0; weight <= 1; weight += 0.02 {
		near := mix(ink, want, weight).String()
		if _, err := (Palette{Accent: near}).complete(dark); err == nil {
			return near, nil
		}
	}
	return own.Accent, nil
}
