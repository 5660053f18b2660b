package account

// model gives what people call the authenticators of a model (AAGUID), or "" where nothing better than its number is known.
func model(aaguid string) string {
	switch aaguid {
	case "fbfc3007-154e-4ecc-8c0b-6e020557d7bd":
		return "iCloud Keychain"
	case "ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4":
		return "Google Password Manager"
	case "adce0002-35bc-c60a-648b-0b25f1f05503":
		return "Chrome on macOS"
	case "08987058-cadc-4b81-b6e1-30de50dcbe96", "9ddd1817-af5a-4672-a2b9-3e3dd95000a9", "6028b017-b1d4-4c02-b4b3-afcdafc96bb2":
		return "Windows Hello"
	case "53414d53-554e-4700-0000-000000000000":
		return "Samsung Pass"
	case "bada5566-a7aa-401f-bd96-45619a55120d":
		return "1Password"
	case "d548826e-79b4-db40-a3d8-11116f7e8349":
		return "Bitwarden"
	case "531126d6-e717-415c-9320-3d9aa6981239":
		return "Dashlane"
	case "cb69481e-8ff7-4039-93ec-0a2729a154a8", "ee882879-721c-4913-9775-3dfcce97072a",
		"fa2b99dc-9e39-4257-8f92-4a30d23c4118", "2fc0579f-8113-47ea-b116-bb5a8db9202a":
		return "YubiKey 5"
	case "f8a011f3-8c0a-4d15-8006-17111f9edc7d", "b92c3f9a-c014-4056-887f-140a2501163b":
		return "Security Key (Yubico)"
	}
	return ""
}
