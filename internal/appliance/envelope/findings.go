package envelope

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/panalvm/panal/ovf"
)

// findings tells what is wrong with the descriptor and may be why something is not as it should be, to
// people who know machines and not the standard.
func (r *reader) findings(env *ovf.Envelope) {
	for _, f := range ovf.Check(env) {
		if f.Severity == ovf.Note || toldOtherwise.MatchString(f.Text) {
			continue
		}
		text := f.Text
		for _, w := range plainTexts {
			text = w.find.ReplaceAllString(text, w.say)
		}
		if where := plainPlace(f.Where); where != "" {
			text = where + ": " + text
		}
		r.notef("descriptor", "%s", text)
	}
}

// toldOtherwise are findings that change nothing, since the content says what a file is, or that
// are told where a section is found that is not understood.
var toldOtherwise = regexp.MustCompile(`^it does not say the format of its file$|^this section is required, and not known`)

// words is what the standard calls something, and what people do.
type words struct {
	find *regexp.Regexp
	say  string
}

func listOf(pairs ...string) (list []words) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, words{regexp.MustCompile(pairs[i]), pairs[i+1]})
	}
	return list
}

var plainTexts = listOf(
	`, which the (References|NetworkSection|DeploymentOptionSection) (do|does) not have$`, `, which it does not list`,
	`^its HostResource is the disk`, `it is on the disk`,
	`^its Parent is the item`, `it is attached to the device`,
	`^it is its own Parent`, `it is attached to itself`,
	`the InstanceID`, `the number`, `^it has no InstanceID`, `it has no number`,
	`^it does not say what it is: it has no ResourceType`, `it does not say what it is`,
	`^(it does not say how much there is): it has no VirtualQuantity`, `$1`,
	`^it has no VirtualHardwareSection`, `it does not say what hardware it has`,
	`^it has no href`, `it does not say which file it is`,
	`^it has no (diskId|id|msgid)$`, `it has no name for others to refer to it by`,
	`two with the (diskId|id|msgid)`, `two with the name`, `two with the href`, `two of the file`,
	`^its populatedSize, (\d+), is more than its capacity, (\d+)`, `it is said to hold $1 bytes, which is more than its $2`,
	`^reading the quantity ""`, `how much there is`,
	`^its (start|stop)Action is`, `what is done to $1 it is`,
	`; the standard has (.*)$`, `; known are $1`,
	`^(\w+) is ("[^"]*"); it must be`, `its $1 is $2, and has to be`, `^its populatedSize is`, `what it holds is`,
	`^<([^>]*)> is not known here, or not again$`, `what it says as $1 is not understood, or said twice`,
	`^there is text where only elements belong: (.*)$`, `the text $1 stands where none belongs, and is skipped`,
	`^this section may not stand here$`, `it does not belong there, and may be overlooked`,
	`^there are two of this section$`, `it is there twice`,
	`there is no machine: neither a VirtualSystem nor a VirtualSystemCollection`, `there is no machine`,
)

// plainPlaces are the steps of a path of elements, before the name of what it leads to.
var plainPlaces = listOf(
	`\bVirtualSystemCollection( |$)`, `group$1`, `\bVirtualSystem( |$)`, `machine$1`,
	`\bReferences/File( |$)`, `file$1`, `\bDiskSection/Disk( |$)`, `disk$1`, `\bNetworkSection/Network( |$)`, `network$1`,
	`\bVirtualHardwareSection/Item( |$)`, `device$1`, `\bStartupSection/Item( |$)`, `order of starting$1`, `\bProductSection/Property( |$)`, `property$1`,
	`\bProductSection/Icon( |$)`, `icon$1`, `\bDeploymentOptionSection/Configuration( |$)`, `configuration$1`, `\bStrings( |$)`, `texts$1`, `/Msg( |$)`, `, text$1`,
	`\bVirtualHardwareSection\b`, `hardware`, `\bOperatingSystemSection\b`, `operating system`, `\bEulaSection\b`, `licence`, `\bProductSection\b`, `product`,
	`\bDiskSection\b`, `disks`, `\bNetworkSection\b`, `networks`, `\bAnnotationSection\b`, `annotation`, `\bStartupSection\b`, `order of starting`,
	`\bDeploymentOptionSection\b`, `configurations`, `\bResourceAllocationSection\b`, `resources`, `\bInstallSection\b`, `installation`,
	`\bReferences\b`, `files`, `\bEnvelope\b`, `the whole`,
	`(\w)/(\w)`, `$1, $2`,
)

// plainPlace says where something is.
func plainPlace(where string) string {
	for _, w := range plainPlaces {
		where = w.find.ReplaceAllString(where, w.say)
	}
	return fmt.Sprintf("%.200s", strings.TrimSpace(where))
}
