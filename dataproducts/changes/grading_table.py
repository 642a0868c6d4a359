"""The grading table: what each change of each clause is to a reader; text, so that it reads like the page it makes.

A block begins with the order in which two values compare and the clauses that it holds for, as paths; `{a,b}` stands
for either. Each line below is one step of that order: its sign, what it is called, its grade and why. Signs: `+` more
is promised or offered, `-` less, `~` something else, `=` the same in other words, `!` an end is announced, `x` what
goes after its end was announced. `neutral*`: no promise changes, and what readers find may mean something else.

Only the first of the blocks that name a path counts, then that of its entry, `entry.*`, then `*.key`, wherever that key
stands, then `*`.
"""

BLOCKS = """
item file.product
  + product_added | additive | readers find one product more
  - product_removed | breaking | its readers lose every port at once
  x product_retired | neutral | the day that its readers were told has passed
any file.address
  ~ major_replaced | breaking | the old major version is gone from its address
item file.contract
  + contract_added | additive | readers find one table more
  - contract_removed | breaking | its readers lose the table
  x contract_retired | neutral | the day that its readers were told has passed
any file.transform
  ~ transform_changed | neutral* | the same promises hold of rows that are made in another way

ignored {contract,product,slo,design}.{apiVersion,kind,version}
ignored contract.slaDefaultElement
any contract.id
  ~ contract_id_changed | breaking | input ports name the contract by its id
any {contract,product}.domain
  ~ domain_changed | breaking | the product goes by another address
any product.name
  ~ product_renamed | breaking | the product goes by another address
words contract.{name,tenant,contractCreatedTs,dataProduct}
  = title_changed | neutral | a title, which no reader names
words product.{id,tenant,productCreatedTs}
  = title_changed | neutral | a title, which no reader names
status {contract,product}.status
  + status_raised | additive | more is promised than before
  - status_lowered | breaking | what was promised is taken back
  ! deprecated | additive | readers are told of an end in time, for which versions take a minor step
  x retired | neutral | the day that its readers were told has passed
  = status_reworded | neutral | the same status
  ~ status_changed | breaking | nobody can say what the new status promises

item contract.schema[]
  + table_added | additive | readers find one table more
  - table_removed | breaking | queries that name it fail
any contract.schema[].name
  ~ table_renamed | breaking | queries that name it fail
words contract.schema[].{logicalType,physicalType,physicalName,dataGranularityDescription}
  = wording_changed | neutral | readers know the table by its name
item contract.schema[].properties[]
  + column_added | additive | readers find one column more
  - column_removed | breaking | queries that name it fail
any contract.schema[].properties[].name
  ~ column_renamed | breaking | queries that name the old column fail
sequence contract.schema[].order
  = columns_reordered | neutral | columns are read by name
type contract.schema[].properties[].type
  + type_narrowed | additive | every value still fits where readers put it
  - type_widened | breaking | values may come that do not fit where readers put them
  ~ type_changed | breaking | readers meet values of another kind
  = type_respelt | neutral | the same type, written otherwise
truth contract.schema[].properties[].required
  + required_added | additive | readers meet no NULL any more
  - required_removed | breaking | readers may meet NULL
truth contract.schema[].properties[].unique
  + unique_added | additive | no value repeats any more
  - unique_removed | breaking | values may repeat, and joins multiply rows
key contract.schema[].primaryKey
  + primary_key_tightened | additive | rows that were told apart still are, by fewer columns
  - primary_key_loosened | breaking | rows that were one may be several
  ~ primary_key_changed | breaking | readers join on other columns
  = primary_key_reordered | neutral | the same columns tell rows apart
allowed contract.schema[].properties[].enum
  + enum_narrowed | additive | readers meet fewer values, all of which they know
  - enum_widened | breaking | readers meet values that they do not know
lower contract.schema[].properties[].lower
  + range_narrowed | additive | readers meet only values that they expect
  - range_widened | breaking | readers meet values that they did not expect
  ~ range_changed | breaking | readers meet values that they did not expect
upper contract.schema[].properties[].upper
  + range_narrowed | additive | readers meet only values that they expect
  - range_widened | breaking | readers meet values that they did not expect
  ~ range_changed | breaking | readers meet values that they did not expect
floor contract.schema[].properties[].logicalTypeOptions.{minLength,minItems,minProperties}
  + length_narrowed | additive | readers meet only lengths that they expect
  - length_widened | breaking | readers meet shorter values than they expect
  ~ length_changed | breaking | readers meet lengths that they did not expect
ceiling contract.schema[].properties[].logicalTypeOptions.{maxLength,maxItems,maxProperties}
  + length_narrowed | additive | readers meet only lengths that they expect
  - length_widened | breaking | readers meet longer values than they expect
  ~ length_changed | breaking | readers meet lengths that they did not expect
promise contract.schema[].properties[].logicalTypeOptions.{pattern,format,defaultTimezone,dimensions}
  + pattern_added | additive | readers know the form of every value
  - pattern_removed | breaking | values of any form may come
  ~ pattern_changed | breaking | values of another form come, and nobody can tell if the old one holds for them
multiple contract.schema[].properties[].logicalTypeOptions.multipleOf
  + step_narrowed | additive | values lie on steps that readers know
  - step_widened | breaking | values lie between the steps that readers know
  ~ step_changed | breaking | values lie on other steps
truth contract.schema[].properties[].logicalTypeOptions.{uniqueItems,normalized}
  + value_rule_added | additive | more holds of each value
  - value_rule_removed | breaking | less holds of each value
members contract.schema[].properties[].logicalTypeOptions.required
  + field_required | additive | readers find the field in every object
  - field_optional | breaking | readers may miss the field
any contract.schema[].properties[].logicalTypeOptions.{distanceMetric,embeddingModel,embeddingModelVersion}
  ~ embedding_changed | breaking | vectors do not compare with those that readers kept
classification contract.schema[].properties[].classification
  + classification_lowered | additive | more readers may see it
  - classification_raised | breaking | it is masked for, or kept from, readers who saw it
  ~ classification_changed | breaking | readers have to handle it by other rules
  = classification_named | neutral | unclassified counts as internal
words contract.schema[].properties[].{criticalDataElement,physicalName,semanticType,partitionKeyPosition}
  = wording_changed | neutral | readers find the same values under the same name
truth contract.schema[].properties[].partitioned
  + partitioned_added | additive | readers may load by it
  - partitioned_removed | breaking | readers who load by it cannot
any contract.schema[].properties[].encryptedName
  ~ encrypted_name_changed | breaking | readers who use the encrypted column look for the old name
words contract.schema[].properties[].{transformSourceObjects,transformLogic,transformDescription}
  = origin_described | neutral* | where values come from is told otherwise
notice contract.schema[].{,properties[].}deprecated
  ! deprecated | additive | readers are told of an end in time, for which versions take a minor step
  + deprecation_withdrawn | additive | what was to end goes on
  = wording_changed | neutral | the same announcement

item contract.schema[].{,properties[].}relationships[]
  + relationship_added | additive | every key is found in the other table
  - relationship_removed | breaking | keys may be missing in the other table
any contract.schema[].{,properties[].}relationships[].{from,to}
  ~ relationship_changed | breaking | keys are found in another table than readers join
words contract.schema[].{,properties[].}relationships[].type
  = wording_changed | neutral | every relationship is a foreign key

item contract.schema[].{,properties[].}quality[]
  + rule_added | additive | one thing more is checked before readers see a row
  - rule_removed | breaking | rows may come that the rule would have kept back
threshold contract.schema[].{,properties[].}quality[].threshold
  + rule_tightened | additive | less is let through
  - rule_loosened | breaking | rows may come that the rule would have kept back
  ~ rule_changed | breaking | rows may come that the old rule would have kept back
  = rule_reworded | neutral | the same numbers are let through
enforcement contract.schema[].{,properties[].}quality[].enforcement
  + rule_tightened | additive | a failure has more consequences
  - rule_loosened | breaking | rows are published that the rule would have kept back
  = rule_reworded | neutral | the same consequences
any contract.schema[].{,properties[].}quality[].asks
  ~ rule_changed | breaking | another thing is checked, and nobody can tell if the old one still holds
failure contract.schema[].{,properties[].}{,quality[].}customProperties[onFailure]
  + rows_kept | additive | rows are no longer set aside while the rest is published
  - rows_set_aside | breaking | rows may be missing where a refusal kept the last good release
  = rule_reworded | neutral | the same consequences
any contract.schema[].{,properties[].}{,quality[].}customProperties[keep]
  ~ duplicates_kept_otherwise | breaking | of equal rows, others are published
limit contract.schema[].{,properties[].}{,quality[].}customProperties[maxQuarantined]
  + quarantine_limited | additive | fewer rows may be missing
  - quarantine_unlimited | breaking | more rows may be missing
  ~ quarantine_limit_changed | breaking | other numbers of rows may be missing
  = quarantine_limit_reworded | neutral | the same limit
words contract.schema[].{,properties[].}{,quality[].}customProperties[{criticality,dimension}]
  = wording_changed | neutral | how a rule is listed
words contract.schema[].{,properties[].}quality[].{name,id,description,businessImpact,method,schedule}
  = rule_reworded | neutral | the rule checks the same
words contract.schema[].{,properties[].}quality[].{scheduler,dimension}
  = rule_reworded | neutral | the rule checks the same
any contract.schema[].properties[].customProperties[{missing,outliers}]
  ~ treatment_changed | breaking | values that are missing or far out are replaced in another way

item contract.schema[].customProperties[partition]
  + partition_added | additive | readers may load by partition
  - partition_removed | breaking | readers who load by partition cannot
any contract.schema[].customProperties[partition].{column,unit}
  ~ partition_changed | breaking | readers who load by partition find other ones
begins contract.schema[].customProperties[partition].start
  + history_lengthened | additive | readers find older rows
  - history_shortened | breaking | rows that readers found are gone
  ~ history_changed | breaking | rows that readers found may be gone
  = wording_changed | neutral | the same day
ends contract.schema[].customProperties[partition].end
  + future_lengthened | additive | more days will be there
  - future_shortened | breaking | days that readers wait for will not be there
  ~ future_changed | breaking | days that readers wait for may not be there
  = wording_changed | neutral | the same day
words contract.schema[].customProperties[partition].batch
  = wording_changed | neutral | the same rows by another way
promise contract.schema[].customProperties[validThru]
  + valid_thru_added | additive | readers are told until when the rows are complete
  - valid_thru_removed | breaking | readers are not told until when the rows are complete
  ~ valid_thru_changed | breaking | complete means something else

item contract.slaProperties[]
  + sla_added | additive | one thing more is promised
  - sla_removed | breaking | the promise is taken back
sla contract.slaProperties[].value
  + sla_tightened | additive | the promise is stronger
  - sla_loosened | breaking | the promise is weaker
  ~ sla_changed | breaking | nobody can tell if the old promise still holds
  = sla_reworded | neutral | the same promise in other units
enforcement contract.slaProperties[].enforcement
  + sla_tightened | additive | a breach has more consequences
  - sla_loosened | breaking | a breach has fewer consequences
  = sla_reworded | neutral | the same consequences
day contract.slaProperties[end]
  + end_moved_later | additive | readers have more time
  - end_moved_earlier | breaking | readers have less time than they were told
  ! end_announced | additive | readers are told of an end in time, for which versions take a minor step
  ~ end_changed | breaking | readers cannot tell how much time they have
  = sla_reworded | neutral | the same moment
words contract.slaProperties[].{driver,schedule,scheduler,id,customProperties[criticality]}
  = sla_reworded | neutral | why and how it is watched

item contract.roles[]
  + role_added | additive | one more group may read
  - role_removed | breaking | its members lose their access
access contract.roles[].access
  + access_raised | additive | its members may do more
  - access_lowered | breaking | its members may do less
  ~ access_changed | breaking | its members may do something else
  = wording_changed | neutral | the same access
any contract.roles[].role
  ~ role_renamed | breaking | its members lose their access
words contract.roles[].{firstLevelApprovers,secondLevelApprovers}
  = approvers_changed | neutral | who grants it changes nothing for who has it
words contract.servers
  = source_changed | neutral* | readers read the port; what the source holds may differ
price contract.price.priceAmount
  + price_lowered | additive | readers pay less
  - price_raised | breaking | readers pay more
  ~ price_changed | breaking | readers pay otherwise
swap contract.price.{priceCurrency,priceUnit}
  ~ price_changed | breaking | readers pay otherwise
  = price_described | neutral | the amount says what is paid
item {contract,product}.support[]
  + channel_added | additive | one more way to get help
  - channel_removed | breaking | a way to get help is gone
words {contract,product}.support[].{channel,url,tool,scope,invitationUrl}
  = channel_moved | neutral | help is found elsewhere
words {contract,product}.team
  = people_changed | neutral | other people keep the same promises

words product.type
  = layer_changed | neutral | where a product stands changes no port of it
words product.customProperties[layer]
  = layer_changed | neutral | where a product stands changes no port of it
item product.outputPorts[]
  + port_added | additive | readers may use one table more
  - port_removed | breaking | its readers are cut off
  x port_retired | neutral | the day that its readers were told has passed
any product.outputPorts[].name
  ~ port_renamed | breaking | readers who name the old port are cut off
any product.outputPorts[].contractId
  ~ port_redirected | breaking | another table answers under the same name
swap product.outputPorts[].type
  ~ port_type_changed | breaking | readers connect in another way
  = wording_changed | neutral | every port is a table unless it says otherwise
words product.outputPorts[].version
  = port_version_changed | neutral | its contract says what changed
words product.outputPorts[].{sbom,inputContracts}
  = wording_changed | neutral | what the port is made of
notice product.{,outputPorts[].,managementPorts[].}deprecated
  ! deprecated | additive | readers are told of an end in time, for which versions take a minor step
  + deprecation_withdrawn | additive | what was to end goes on
  = wording_changed | neutral | the same announcement
words product.inputPorts
  = input_changed | neutral* | the same promises hold of rows that come from elsewhere
item product.managementPorts[]
  + management_port_added | additive | one more way to look into the product
  - management_port_removed | breaking | who looks through it is cut off
any product.managementPorts[].{name,content,type,url,channel}
  ~ management_port_changed | breaking | who looks through it is cut off
tier product.customProperties[tier]
  + tier_raised | additive | more is promised
  - tier_lowered | breaking | less is promised
  ~ tier_changed | breaking | nobody can say what the new tier promises
members product.customProperties[audience]
  + audience_added | additive | the product is for one group more
  - audience_removed | breaking | a group is left out
words product.customProperties[consumers]
  = consumers_changed | neutral | who reads is written down; nothing is promised by it
words product.customProperties[schedule]
  = schedule_changed | neutral | how fresh tables are is promised by their SLAs
day product.customProperties[sunsetDate]
  + end_moved_later | additive | readers have more time
  - end_moved_earlier | breaking | readers have less time than they were told
  ! end_announced | additive | readers are told of an end in time, for which versions take a minor step
  ~ end_changed | breaking | readers cannot tell how much time they have
  = wording_changed | neutral | the same day
words product.customProperties[{successor,reviewedOn,strategicGoal,valueMeasure,waivers}]
  = wording_changed | neutral | for readers of the file

item slo.objectives[]
  + objective_added | additive | one thing more is promised
  - objective_removed | breaking | the promise is taken back
larger slo.objectives[].target
  + objective_tightened | additive | the promise is kept more often
  - objective_loosened | breaking | the promise is kept less often
  ~ objective_changed | breaking | nobody can tell if the old promise still holds
duration slo.objectives[].at_most
  + objective_tightened | additive | the limit is stricter
  - objective_loosened | breaking | the limit is laxer
  ~ objective_changed | breaking | nobody can tell if the old promise still holds
  = objective_reworded | neutral | the same limit
window slo.objectives[].window
  + objective_tightened | additive | the share is kept over each shorter time
  - objective_loosened | breaking | the share is kept over a longer time, and may be missed within it
  ~ objective_changed | breaking | nobody can tell if the old promise still holds
  = objective_reworded | neutral | the same window
members slo.objectives[].counts
  + objective_tightened | additive | more rules count in it
  - objective_loosened | breaking | fewer rules count in it
any slo.objectives[].{indicator,table,rules,columns,column,port,by}
  ~ objective_changed | breaking | another thing is promised
words slo.objectives[].{name,on_spent,severity,driver,runbook}
  = objective_reworded | neutral | what the owner does; the promise is the same
item slo.defaults.drop[]
  + default_dropped | breaking | a promise that the contract implies is taken back
  - default_restored | additive | what the contract implies is promised again
words slo.defaults.drop[].{name,reason}
  = wording_changed | neutral | why nobody needs the promise
words slo.{incidents,runbooks,health}
  = watch_changed | neutral | how the owner watches the promises

item access.grants[]
  + grant_added | additive | one more group may read
  - grant_removed | breaking | its members lose their access
members access.grants[].{columns,tables,ports,actions}
  + grant_widened | additive | its members may read more
  - grant_narrowed | breaking | its members may read less
any access.{rows,row_predicates,predicates,filters}
  ~ rows_filtered_otherwise | breaking | readers may see other rows
any access.masks
  ~ masks_changed | breaking | readers may see other values
words access.tests
  = wording_changed | neutral | how the policy is tested
words {access,access.grants[],semantic}.description
  = description_changed | neutral | prose promises nothing that is checked
any access.{,grants[].}*
  ~ policy_changed | breaking | nothing here knows what it means, and it may shut readers out
words {access,semantic}.{apiVersion,kind,version}
  = format_changed | neutral* | the same words may mean something else

item semantic.{,tables[].}{tables,dimensions,measures,joins,relationships,segments,metrics}[]
  + definition_added | additive | readers may use one definition more
  - definition_removed | breaking | what names it fails
words semantic.{,tables[].}{tables,dimensions,measures,joins,relationships,segments,metrics}[].description
  = description_changed | neutral | prose promises nothing that is checked
words semantic.{,tables[].}{tables,dimensions,measures,joins,relationships,segments,metrics}[].{label,synonyms}
  = wording_changed | neutral | words for readers
any semantic.{,tables[].}{tables,dimensions,measures,joins,relationships,segments,metrics}[].*
  ~ definition_changed | breaking | the same name gives another figure
any semantic.*
  ~ model_changed | breaking | nothing here knows what it means, and it may give other figures

item design.metrics[]
  + metric_added | additive | one more figure is defined
  - metric_removed | breaking | the figure is defined no more
any design.metrics[].{unit,grain,window}
  ~ metric_changed | breaking | the same name gives another figure
words design.metrics[].{formula,columns,measures}
  = metric_reworded | neutral* | the figure may be another one
words design.{need,pain_points,decisions,stakeholders,user_stories,notes}
  = design_changed | neutral | why the product is there
words design.metrics[].{name,limitations,north_star}
  = wording_changed | neutral | for readers of the file

words *.examples
  = examples_changed | neutral | examples promise nothing
words *.{description,businessName,purpose,usage,limitations}
  = description_changed | neutral | prose promises nothing that is checked
words *.{tags,authoritativeDefinitions,synonyms,context,id,label}
  = wording_changed | neutral | links and words for readers
words *.customProperties
  = custom_property_changed | neutral | of somebody else's making: nothing here reads it
promise *
  + clause_added | additive | one thing more is declared
  - clause_removed | breaking | what was declared is taken back
  ~ clause_changed | breaking | what was declared is something else
"""
