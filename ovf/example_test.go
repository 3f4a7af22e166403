package ovf_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/panalvm/panal/ovf"
)

// A descriptor as VMware's tools write them, in short.
const appliance = `<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
    xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
  <References><File ovf:id="file1" ovf:href="disk1.vmdk" ovf:size="1000"/></References>
  <DiskSection><Info>The disks</Info>
    <Disk ovf:diskId="disk1" ovf:fileRef="file1" ovf:capacity="8" ovf:capacityAllocationUnits="byte * 2^30" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
  </DiskSection>
  <NetworkSection><Info>The networks</Info><Network ovf:name="lan"/></NetworkSection>
  <DeploymentOptionSection><Info>Sizes</Info>
    <Configuration ovf:id="small" ovf:default="true"><Label>Small</Label><Description>For trying</Description></Configuration>
    <Configuration ovf:id="large"><Label>Large</Label><Description>For work</Description></Configuration>
  </DeploymentOptionSection>
  <VirtualSystem ovf:id="web"><Info>A machine</Info>
    <VirtualHardwareSection><Info>Hardware</Info>
      <Item><rasd:ElementName>memory</rasd:ElementName><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType>
        <rasd:AllocationUnits>MegaBytes</rasd:AllocationUnits><rasd:VirtualQuantity>512</rasd:VirtualQuantity></Item>
      <Item ovf:configuration="large"><rasd:ElementName>memory</rasd:ElementName><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType>
        <rasd:AllocationUnits>byte * 2^30</rasd:AllocationUnits><rasd:VirtualQuantity>4</rasd:VirtualQuantity></Item>
      <Item><rasd:ElementName>controller</rasd:ElementName><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>6</rasd:ResourceType></Item>
      <Item><rasd:ElementName>disk</rasd:ElementName><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>17</rasd:ResourceType>
        <rasd:Parent>2</rasd:Parent><rasd:HostResource>ovf:/disk/disk1</rasd:HostResource></Item>
      <Item><rasd:Connection>wan</rasd:Connection><rasd:ElementName>adapter</rasd:ElementName><rasd:InstanceID>4</rasd:InstanceID><rasd:ResourceType>10</rasd:ResourceType></Item>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>`

// The hardware of a machine is read, in one of the appliance's sizes.
func Example() {
	env, err := ovf.Parse(strings.NewReader(appliance))
	if err != nil {
		log.Fatal(err)
	}
	if env, err = env.Choose("large"); err != nil {
		log.Fatal(err)
	}
	for _, machine := range env.Systems() {
		hardware := ovf.First[*ovf.VirtualHardwareSection](machine.Sections)
		for _, item := range hardware.Items {
			switch item.ResourceType {
			case ovf.Memory:
				n, err := item.Bytes()
				fmt.Println(machine.ID, "has", n>>20, "MiB of memory", err)
			case ovf.DiskDrive:
				disk := env.Disk(item.Backing().ID)
				n, err := disk.Bytes(env.Defaults())
				fmt.Println(machine.ID, "has a disk of", n>>30, "GiB at a", hardware.Item(item.Parent).ResourceType, "from", env.File(disk.FileRef).Href, err)
			}
		}
	}
	// Output:
	// web has 4096 MiB of memory <nil>
	// web has a disk of 8 GiB at a SCSI controller from disk1.vmdk <nil>
}

// What is wrong with a descriptor is told with its place.
func ExampleCheck() {
	env, err := ovf.Parse(strings.NewReader(appliance))
	if err != nil {
		log.Fatal(err)
	}
	for _, finding := range ovf.Check(env) {
		fmt.Println(finding)
	}
	// Output:
	// error: VirtualSystem web/VirtualHardwareSection/Item 4: it is connected to the network "wan", which the NetworkSection does not have
}

func ExampleParseUnit() {
	for _, text := range []string{"byte * 2^20", "MegaBytes", "hertz * 10^6"} {
		unit, err := ovf.ParseUnit(text)
		if err != nil {
			log.Fatal(err)
		}
		n, err := unit.Of("1.5")
		fmt.Println(n, unit.Base, err)
	}
	// Output:
	// 1572864 byte <nil>
	// 1572864 byte <nil>
	// 1500000 hertz <nil>
}

func ExampleParseManifest() {
	manifest, err := ovf.ParseManifest(strings.NewReader("SHA1 (disk1.vmdk) = da39a3ee5e6b4b0d3255bfef95601890afd80709\r\n"))
	if err != nil {
		log.Fatal(err)
	}
	for _, digest := range manifest.Of("disk1.vmdk") {
		h := digest.Algorithm.New()
		_, _ = io.WriteString(h, "not empty")
		err := digest.Verify(h.Sum(nil))
		fmt.Println(digest.Algorithm, errors.Is(err, ovf.ErrDigest))
	}
	// Output:
	// SHA1 true
}

// A guest is told what it is to be.
func ExampleEnvelope_Environment() {
	env := &ovf.Envelope{Content: []ovf.Content{&ovf.VirtualSystem{ID: "web", Sections: []ovf.Section{
		&ovf.ProductSection{Class: "net", Properties: []ovf.Property{{Key: "ip", Type: "string"}, {Key: "dns", Type: "string", Default: "10.0.0.53"}}},
	}}}}
	if err := env.Environment("web", map[string]string{"net.ip": "10.0.0.7"}).Write(os.Stdout); err != nil {
		log.Fatal(err)
	}
	// Output:
	// <?xml version="1.0" encoding="UTF-8"?>
	// <Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:oe="http://schemas.dmtf.org/ovf/environment/1" oe:id="web">
	//   <PlatformSection/>
	//   <PropertySection>
	//     <Property oe:key="net.ip" oe:value="10.0.0.7"/>
	//     <Property oe:key="net.dns" oe:value="10.0.0.53"/>
	//   </PropertySection>
	// </Environment>
}
