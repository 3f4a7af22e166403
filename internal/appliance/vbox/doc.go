// Package vbox reads machines of VirtualBox's, with their media registry and
// their whole tree of snapshots.
//
//	web/
//	├── web.vbox                        XML: <VirtualBox><Machine>
//	│     MediaRegistry                   every image by UUID; a differencing image within its parent
//	│     Hardware, StorageControllers    the present
//	│     Snapshot                        the first one: its Hardware, and in Snapshots those that stand on it
//	├── web.vdi                         a base image
//	└── Snapshots/
//	    ├── {…}.vdi                     differencing images
//	    └── ….sav                       the memory at a snapshot
//
// Settings of before VirtualBox 4.0 (version 1.11 and less) keep the registry
// in another file and are refused. Since settings version 1.19 the controllers
// are within Hardware, before that beside it. What is not said has defaults
// that depend on the version (src/VBox/Main/xml/Settings.cpp); those that
// matter here are one CPU, 82540EM, and BIOS.
package vbox
