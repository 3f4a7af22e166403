package ovf

import "encoding/xml"

// ProductSection says what software is installed, and how it is configured
// (DSP0243 1.1, 9.5).
type ProductSection struct {
	Head
	Class       string     `ovf:"class,attr"`    // the prefix of its properties' keys
	Instance    string     `ovf:"instance,attr"` // their suffix
	Product     Text       `ovf:"Product"`
	Vendor      Text       `ovf:"Vendor"`
	Version     Text       `ovf:"Version"`
	FullVersion Text       `ovf:"FullVersion"`
	ProductURL  Text       `ovf:"ProductUrl"`
	VendorURL   Text       `ovf:"VendorUrl"`
	AppURL      Text       `ovf:"AppUrl"` // may contain ${property}
	Icons       []Icon     `ovf:"Icon"`
	Properties  []Property `ovf:"Property"`
}

// Name is the name of its element.
func (*ProductSection) Name() xml.Name { return attrName("ProductSection") }

// Icon is a picture of the product.
type Icon struct {
	Height   int        `ovf:"height,attr"`
	Width    int        `ovf:"width,attr"`
	MimeType string     `ovf:"mimeType,attr"`
	FileRef  string     `ovf:"fileRef,attr"`
	Attrs    []xml.Attr `ovf:",attrs"`
	Extra    []Element  `ovf:",extra"`
}

// Property is something that the guest is told, or that the descriptor itself
// refers to as ${key}.
type Property struct {
	Category         Text            // the heading that it stands under
	Key              string          `ovf:"key,attr"`
	Type             string          `ovf:"type,attr"` // "string", "boolean", "uint8" … "real64", "int", "ip", …
	Qualifiers       string          `ovf:"qualifiers,attr"`
	UserConfigurable bool            `ovf:"userConfigurable,attr"`
	Default          string          `ovf:"value,attr"`
	Password         bool            `ovf:"password,attr"`
	Configurations   []string        `ovf:"configuration,attr"` // VMware: it is there only in these
	Label            Text            `ovf:"Label"`
	Description      Text            `ovf:"Description"`
	Values           []PropertyValue `ovf:"Value"` // defaults of single configurations
	Attrs            []xml.Attr      `ovf:",attrs"`
	Extra            []Element       `ovf:",extra"`
}

// PropertyValue is a default for one configuration.
type PropertyValue struct {
	Value         string     `ovf:"value,attr,always"`
	Configuration string     `ovf:"configuration,attr"`
	Attrs         []xml.Attr `ovf:",attrs"`
	Extra         []Element  `ovf:",extra"`
}

// FullKey is the key that a guest knows the property by:
// class.key.instance (9.5.1).
func (s *ProductSection) FullKey(p Property) string {
	key := p.Key
	if s.Class != "" {
		key = s.Class + "." + key
	}
	if s.Instance != "" {
		key += "." + s.Instance
	}
	return key
}

// ValueIn is the default in a configuration.
func (p Property) ValueIn(configuration string) string {
	for _, v := range p.Values {
		if v.Configuration == configuration && configuration != "" {
			return v.Value
		}
	}
	return p.Default
}
